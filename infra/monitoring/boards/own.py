"""A panel for any metric of ours, by its kind, name, labels and help."""

from infra.model.services import Service
from infra.monitoring.boards.board import Panel, Query, Unit
from infra.monitoring.boards.promql import quantiles, rate, series, total
from infra.monitoring.catalogue import Metric

_UNITS = {"seconds": Unit.SECONDS, "bytes": Unit.BYTES, "ratio": Unit.RATIO}
_AGES = "timestamp_seconds"
_MEANT = {"seconds": "time", "bytes": "memory", "ratio": "share"}
_TOLD = ("age", "ago", "duration", "memory", "wait", "ack")
"""After these words nobody asks what is measured."""
_SHARED = ("inbox",)
"""What a service has from a library: on its board it is the service's."""
_OPTIONAL = {
    "rate_limit_": "no rate is set for its clients",
    "circuit_breaker_": "it has nothing behind a circuit breaker",
}
"""What a service registers only if its settings ask for it, by the names' beginning, and what it
means that nobody exports it."""
_WRITTEN = {"db": "database", "mysql": "MySQL", "ack": "acknowledgement"}


def panel_of(metric: Metric, service: Service) -> Panel:
    """A counter's growth, a gauge's value, a histogram's quantiles; by labels where it has some."""
    here = {"job": service.name}
    legend = " ".join(f"{{{{{label}}}}}" for label in metric.labels)
    quiet = "nothing of it has happened since it started"
    if metric.kind == "counter":
        query = Query(rate(metric.name, metric.labels, **here), legend or "in all")
        kind = "areas" if metric.labels else "lines"
        return Panel(
            title(metric, service), Unit.PER_SECOND, (query,), metric.help, kind, quiet=quiet
        )
    if metric.kind == "histogram":
        queries = quantiles(metric.name, **here)
        return Panel(title(metric, service), unit(metric.name), queries, metric.help, quiet=quiet)
    if metric.name.endswith(_AGES):
        expr = f"time() - ({series(metric.name, **here)} > 0)"
        return Panel(
            f"{title(metric, service)}, ago",
            Unit.SECONDS,
            (Query(expr, f"{legend} {{{{pod}}}}".strip()),),
            metric.help,
            quiet="it has never happened",
        )
    expr = total(series(metric.name, **here), (*metric.labels, "pod"))
    return Panel(
        title(metric, service),
        unit(metric.name),
        (Query(expr, f"{legend} {{{{pod}}}}".strip()),),
        metric.help,
        quiet=next((why for name, why in _OPTIONAL.items() if metric.name.startswith(name)), ""),
    )


def unit(name: str) -> Unit:
    """By the last word of a name, as Prometheus' conventions have it."""
    return _UNITS.get(name.rpartition("_")[2], Unit.COUNT)


def title(metric: Metric, service: Service) -> str:
    """`outbox_claim_duration_seconds` is `Claim duration` on the relay's board."""
    words = metric.name.removesuffix("_total").removesuffix(f"_{_AGES}")
    for own in (service.package, *service.package.split("_"), *_SHARED):
        if words.startswith(f"{own}_"):
            words = words.removeprefix(f"{own}_")
            break
    rest, _, last = words.rpartition("_")
    if last in _UNITS and rest:
        told = rest.endswith(_TOLD)
        words = rest if told else f"{rest}_{_MEANT[last]}"
    said = " ".join(_WRITTEN.get(word, word) for word in words.split("_"))
    return said[:1].upper() + said[1:]
