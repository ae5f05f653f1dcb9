"""The collector: what it tells of objects and of spans, and how it fares; and the trace store."""

from typing import Any, Final

from infra.model.objects import COLLECTOR, JAEGER
from infra.model.settings import PlatformSettings
from infra.monitoring import exporters
from infra.monitoring.scraping.parts import Document, host, keeping, pods, tls

_NAMED: Final = ("deployment", "statefulset", "hpa", "job")
_POD: Final = (
    r"(.+?)(?:-[0-9]+|(?:-[0-9]{8})?(?:-[bcdfghjklmnpqrstvwxz2456789]{6,10})?"
    r"-[bcdfghjklmnpqrstvwxz2456789]{5})"
)
"""A pod's name begins with that of who made it: a StatefulSet, a Deployment, a Job, a CronJob."""
_OWN: Final = (
    *("otelcol_process_memory_rss_bytes", "otelcol_process_cpu_seconds_total"),
    *("otelcol_receiver_accepted_spans_total", "otelcol_receiver_refused_spans_total"),
    *("otelcol_exporter_send_failed_spans_total", "otelcol_exporter_sent_spans_total"),
    "otelcol_processor_tail_sampling_sampling_trace_dropped_too_early_total",
)
_STORE: Final = (
    *("process_cpu_seconds_total", "process_resident_memory_bytes"),
    "jaeger_collector_spans_rejected_total",
)
_FIGURES: Final = (
    "traces_span_metrics_calls_total",
    *(f"traces_span_metrics_duration_seconds_{part}" for part in ("bucket", "count", "sum")),
)


def of_collector(settings: PlatformSettings) -> list[dict[str, Any]]:
    """Jobs of Prometheus; Jaeger's where the stack has no other store."""
    told = [keeping((*exporters.names("OpenTelemetry Collector, k8s_cluster receiver"), *_FIGURES))]
    told += [
        *_of_objects(),
        *_of_spans(),
        {"regex": r"k8s_.+|service_.+|exported_.+", "action": "labeldrop"},
    ]
    collector = [
        pods(COLLECTOR, [(COLLECTOR, "metrics")], more=tls(host(COLLECTOR)))
        | {"metric_relabel_configs": told},
        pods(f"{COLLECTOR}-own", [(COLLECTOR, "own")], keep=_OWN),
    ]
    if settings.tracing.store is not None:
        return collector
    return [*collector, pods(JAEGER, [(JAEGER, "admin")], keep=_STORE, more=tls(host(JAEGER)))]


def _of_objects() -> list[Document]:
    """An object's series carry what it is, and nothing of the pod that tells of it."""
    of_pod = {"regex": "(k8s_[^;]+);(.*)", "replacement": "$2"}
    named = [
        {"source_labels": [f"k8s_{kind}_name"], "regex": "(.+)", "target_label": "job"}
        for kind in _NAMED
    ]
    return [
        {
            "source_labels": ["__name__"],
            "regex": "k8s_.+",
            "target_label": "instance",
            "replacement": "",
        },
        {"source_labels": ["k8s_namespace_name"], "regex": "(.+)", "target_label": "namespace"},
        {"source_labels": ["__name__", "k8s_pod_name"], "target_label": "pod", **of_pod},
        {"source_labels": ["k8s_container_name"], "regex": "(.+)", "target_label": "container"},
        {"source_labels": ["k8s_pod_name"], "regex": _POD, "target_label": "job"},
        *named,
    ]


def _of_spans() -> list[Document]:
    return [{"source_labels": ["service_name"], "regex": "(.+)", "target_label": "job"}]
