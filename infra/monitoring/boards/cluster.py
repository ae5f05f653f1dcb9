"""The board of nodes and pods, and of the watching itself."""

from infra.monitoring.boards import shared
from infra.monitoring.boards.board import Board, Panel, Query, Row, Threshold, Unit
from infra.monitoring.boards.promql import or_zero, rate, total

_NODE = {"id": "/"}
_PODS = {"container": "!"}


def board() -> Board:
    return Board(
        slug="cluster",
        title="Nodes and pods",
        explains="What runs and what should, what it takes of the machines, and who watches.",
        rows=(_now(), _nodes(), _pods(), _autoscaling(), _watching(), _logs()),
    )


def _now() -> Row:
    deployments = "k8s_deployment_desired - k8s_deployment_available"
    sets = "k8s_statefulset_desired_pods - k8s_statefulset_ready_pods"
    return Row(
        "Now",
        (
            Panel(
                "Pods missing",
                Unit.COUNT,
                (
                    Query(f"({deployments}) > 0", "{{job}}"),
                    Query(f"({sets}) > 0", "{{job}}"),
                ),
                "How many fewer are ready than should be; some while a rollout is under way.",
                thresholds=(Threshold(1, "warning"),),
                quiet="every pod that should be ready is",
            ),
            shared.restarts(),
            Panel(
                "Jobs' pods that failed",
                Unit.COUNT,
                (Query("k8s_job_failed_pods > 0", "{{namespace}} {{job}}"),),
                "Tried again until the Job's limit; its last pod's log says why.",
                thresholds=(Threshold(1, "warning"),),
                quiet="no pod of a Job has failed",
            ),
        ),
    )


def _nodes() -> Row:
    used = rate("container_cpu_usage_seconds_total", ("node",), **_NODE)
    memory = 'max by (node) (container_memory_working_set_bytes{id="/"})'
    return Row(
        "Nodes",
        (
            Panel(
                "Processor, of the node's",
                Unit.RATIO,
                (Query(f"{used} / max by (node) (machine_cpu_cores)", "{{node}}"),),
                "Of all cores, whoever uses them.",
                thresholds=(Threshold(0.9, "warning"),),
                most=1,
            ),
            Panel(
                "Memory, of the node's",
                Unit.RATIO,
                (Query(f"{memory} / max by (node) (machine_memory_bytes)", "{{node}}"),),
                "What cannot be given back at once. Near all of it the kubelet evicts pods.",
                thresholds=(Threshold(0.85, "warning"), Threshold(0.95, "critical")),
                most=1,
            ),
            Panel(
                "Pods, by node",
                Unit.COUNT,
                (Query("max by (node) (kubelet_running_pods)", "{{node}}"),),
                "That run.",
            ),
        ),
    )


def _pods() -> Row:
    by = ("namespace",)
    used = total('container_memory_working_set_bytes{container!=""}', ("namespace", "pod"))
    limit = total('container_spec_memory_limit_bytes{container!=""}', ("namespace", "pod"))
    held = rate("container_cpu_cfs_throttled_periods_total", ("pod",), **_PODS)
    periods = rate("container_cpu_cfs_periods_total", ("pod",), **_PODS)
    return Row(
        "Pods",
        (
            Panel(
                "Processor by namespace",
                Unit.CORES,
                (Query(rate("container_cpu_usage_seconds_total", by, **_PODS), "{{namespace}}"),),
                "Cores in use.",
                kind="areas",
            ),
            Panel(
                "Processor, the ten who take most",
                Unit.CORES,
                (
                    Query(
                        f"topk(10, {rate('container_cpu_usage_seconds_total', ('pod',), **_PODS)})",
                        "{{pod}}",
                    ),
                ),
                "Cores in use, by pod.",
            ),
            Panel(
                "Memory by namespace",
                Unit.BYTES,
                (
                    Query(
                        total('container_memory_working_set_bytes{container!=""}', by),
                        "{{namespace}}",
                    ),
                ),
                "Working set of all containers.",
                kind="areas",
            ),
            Panel(
                "Nearest to their memory limit",
                Unit.RATIO,
                (Query(f"topk(10, {used} / ({limit} > 0))", "{{namespace}} {{pod}}"),),
                "At the limit the kernel ends the process.",
                thresholds=(Threshold(0.9, "warning"),),
                most=1,
            ),
            Panel(
                "Held back by their processor limit",
                Unit.RATIO,
                (Query(f"topk(10, {held} / ({periods} > 0))", "{{pod}}"),),
                "Share of the periods of 100 ms in which a pod had to wait for the next.",
                thresholds=(Threshold(0.25, "warning"),),
                most=1,
            ),
            Panel(
                "Network by namespace",
                Unit.BYTES_PER_SECOND,
                (
                    Query(rate("container_network_receive_bytes_total", by), "{{namespace}}, in"),
                    Query(rate("container_network_transmit_bytes_total", by), "{{namespace}}, out"),
                ),
                "Of pods, among each other and with the outside.",
            ),
        ),
    )


def _autoscaling() -> Row:
    name = "{{job}}"
    return Row(
        "Autoscaling",
        (
            Panel(
                "Pods wanted and there",
                Unit.COUNT,
                (
                    Query("k8s_hpa_desired_replicas", f"{name}, wanted"),
                    Query("k8s_hpa_current_replicas", f"{name}, there"),
                ),
                "Of each autoscaled service.",
                width=6,
            ),
            Panel(
                "Of the most",
                Unit.RATIO,
                (Query("k8s_hpa_current_replicas / k8s_hpa_max_replicas", name),),
                "At its limit a service cannot grow any more.",
                thresholds=(Threshold(1, "warning"),),
                width=6,
                most=1,
            ),
        ),
        needs="autoscaling",
    )


def _watching() -> Row:
    return Row(
        "Prometheus itself",
        (
            Panel(
                "Targets that answer",
                Unit.RATIO,
                (Query("avg by (job) (up)", "{{job}}"),),
                "Share of a job's pods that answered the last scrape.",
                thresholds=(Threshold(1, "critical", below=True),),
                most=1,
            ),
            Panel(
                "Series in memory",
                Unit.COUNT,
                (Query("max(prometheus_tsdb_head_series)", "series"),),
                "A jump is a label with too many values.",
            ),
            Panel(
                "Samples by job",
                Unit.COUNT,
                (Query("topk(10, sum by (job) (scrape_samples_scraped))", "{{job}}"),),
                "Of one scrape: who tells the most.",
            ),
            Panel(
                "Slowest scrapes",
                Unit.SECONDS,
                (Query("topk(10, max by (job) (scrape_duration_seconds))", "{{job}}"),),
                "Longer than their interval, and there are gaps.",
            ),
            Panel(
                "Rules that failed",
                Unit.PER_SECOND,
                (Query(or_zero(rate("prometheus_rule_evaluation_failures_total")), "rules"),),
                "An alert whose rule fails cannot fire.",
                thresholds=(Threshold(0.001, "critical"),),
            ),
            Panel(
                "Kept on disk",
                Unit.BYTES,
                (Query("max(prometheus_tsdb_storage_blocks_bytes)", "blocks"),),
                "Older blocks go when the retention of the stack is over.",
            ),
        ),
    )


def _logs() -> Row:
    name = "otelcol_exporter_{}_log_records_total"
    return Row(
        "Logs",
        (
            Panel(
                "Lines that are kept",
                Unit.PER_SECOND,
                (Query(rate(name.format("sent"), ("pod",)), "{{pod}}"),),
                "Each pod reads the logs of its node.",
            ),
            Panel(
                "Lines that were refused",
                Unit.PER_SECOND,
                (Query(rate(name.format("send_failed"), ("pod",)), "{{pod}}"),),
                "Too old or too many; while Loki is away lines wait on their node.",
                thresholds=(Threshold(0.01, "warning"),),
                quiet="no line was ever refused",
            ),
        ),
        needs="logs",
    )
