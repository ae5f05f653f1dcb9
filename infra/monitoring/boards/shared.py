"""Panels that several boards have: how a program stands, whoever's it is."""

from infra.monitoring.boards.board import Panel, Query, Row, Threshold, Unit
from infra.monitoring.boards.promql import or_zero, rate, series, total

POOL_FULL = (Threshold(0.8, "warning"), Threshold(0.95, "critical"))
"""Of the connections of a pool or server; from 80 % on there is an alert."""


def ready(job: str) -> Panel:
    return Panel(
        "Ready",
        Unit.YES_NO,
        (Query(series("service_ready", job=job), "{{pod}}"),),
        "When each pod said that it can serve: with its database, and what else it needs.",
        kind="states",
        width=6,
    )


def containers(container: str) -> Row:
    """Processor, memory and restarts of all containers of a name."""
    here = {"container": container}
    used = total(series("container_memory_working_set_bytes", **here), ("pod",))
    limit = total(series("container_spec_memory_limit_bytes", **here), ("pod",))
    return Row(
        f"What {container} takes",
        (
            Panel(
                "Processor",
                Unit.CORES,
                (Query(rate("container_cpu_usage_seconds_total", ("pod",), **here), "{{pod}}"),),
                "Cores in use, by pod.",
            ),
            Panel(
                "Memory, of its limit",
                Unit.RATIO,
                (Query(f"{used} / {limit}", "{{pod}}"),),
                "At the limit the kernel ends the process.",
                thresholds=(Threshold(0.9, "warning"),),
                most=1,
            ),
            Panel(
                "Held back by its processor limit",
                Unit.RATIO,
                (
                    Query(
                        rate("container_cpu_cfs_throttled_periods_total", ("pod",), **here)
                        + " / "
                        + rate("container_cpu_cfs_periods_total", ("pod",), **here),
                        "{{pod}}",
                    ),
                ),
                "Share of the periods of 100 ms in which it had to wait for the next.",
                thresholds=(Threshold(0.25, "warning"),),
                most=1,
            ),
        ),
    )


def restarts(**labels: str) -> Panel:
    """Restarts of containers within ten minutes: more than three are an alert."""
    grown = f"increase({series('k8s_container_restarts', **labels)}[10m])"
    return Panel(
        "Restarts in 10 minutes",
        Unit.COUNT,
        (Query(f"{total(grown, ('pod',))} > 0", "{{pod}}"),),
        "A container that restarts more than three times in ten minutes has no way forward.",
        quiet="no container has restarted",
        thresholds=(Threshold(4, "critical"),),
    )


def targets_down(**labels: str) -> Panel:
    """As a number, of those that Prometheus asks."""
    return Panel(
        "Targets down",
        Unit.COUNT,
        (Query(or_zero(f"count({series('up', **labels)} == 0)"), "down"),),
        "Programs that Prometheus asks and that did not answer the last time.",
        kind="stat",
        thresholds=(Threshold(1, "critical"),),
        width=2,
    )
