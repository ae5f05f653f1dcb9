"""The collector's configuration: traces in, the telling ones and figures of all of them out; and
how Kubernetes' objects are."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import yaml

from components.kit import paths

OTLP_PORT: Final = 4318
METRICS_PORT: Final = 8889
OWN_PORT: Final = 8888
HEALTH_PORT: Final = 13133
_ALL: Final = "0.0.0.0"  # noqa: S104 - of the pod
_SLOW_MS: Final = 1000
_WAIT: Final = "10s"
"""How long a trace is waited for before it is judged; what comes later goes by what was decided."""
_TRACES: Final = 10_000
"""That wait at once; with more, the oldest are judged early."""
_SERIES: Final = 1_000
"""Of one service's spans: a name that went wild ends in one series for all the rest."""
_BUCKETS: Final = ("10ms", "50ms", "250ms", "1s", "5s", "30s")
_CHANGED: Final = "1h"
"""After how long a renewed certificate is read at the latest, by a pod that stays."""
_BY_DEFAULT: Final = (
    *(
        f"k8s.container.{of}_{what}"
        for what in ("limit", "request")
        for of in ("cpu", "memory", "storage", "ephemeralstorage")
    ),
    *("k8s.container.ready", "k8s.container.restarts", "k8s.cronjob.active_jobs"),
    *(
        f"k8s.daemonset.{what}_nodes"
        for what in ("current_scheduled", "desired_scheduled", "misscheduled", "ready")
    ),
    *(
        f"k8s.{kind}.{what}"
        for kind in ("deployment", "replicaset", "replication_controller")
        for what in ("available", "desired")
    ),
    *(f"k8s.hpa.{what}_replicas" for what in ("current", "desired", "max", "min")),
    *(
        f"k8s.job.{what}_pods"
        for what in ("active", "desired_successful", "failed", "max_parallel", "successful")
    ),
    *("k8s.namespace.phase", "k8s.pod.phase"),
    *("k8s.resource_quota.hard_limit", "k8s.resource_quota.used"),
    *(f"k8s.statefulset.{what}_pods" for what in ("current", "desired", "ready", "updated")),
)
"""What the receiver tells unless told otherwise."""
_CHANGING: Final = (
    *("container.id", "container.image.name", "container.image.tag"),
    *(
        f"k8s.{kind}.uid"
        for kind in ("deployment", "hpa", "job", "namespace", "pod", "statefulset")
    ),
)
"""Of an object, what no rule asks for; each value would be a series more."""


def configuration(
    *,
    namespaces: Sequence[str],
    metrics: Iterable[str],
    kept: float,
    store: str,
    store_ca: str | None,
) -> str:
    """YAML.

    Args:
        namespaces: whose objects are told of.
        metrics: of objects, by the collector's names, like `k8s.deployment.desired`.
        kept: the share of traces that are kept although nothing failed and nothing was slow.
        store: host and port of where traces are kept, by OTLP over gRPC and TLS.
        store_ca: file of the CA of its certificate; None: those the image trusts.
    """
    pair = {"cert_file": f"{paths.TLS}/tls.crt", "key_file": f"{paths.TLS}/tls.key"}
    tls = {**pair, "min_version": "1.2", "reload_interval": _CHANGED}
    document: dict[str, Any] = {
        "extensions": {"health_check": {"endpoint": f"0.0.0.0:{HEALTH_PORT}"}},
        "receivers": {
            "otlp": {"protocols": {"http": {"endpoint": f"0.0.0.0:{OTLP_PORT}", "tls": tls}}},
            "k8s_cluster": _objects(namespaces, frozenset(metrics)),
        },
        "processors": {
            "memory_limiter": {
                "check_interval": "1s",
                "limit_percentage": 80,
                "spike_limit_percentage": 20,
            },
            "tail_sampling": _judged(kept),
            "batch": {"timeout": "2s", "send_batch_size": 512, "send_batch_max_size": 1024},
        },
        "connectors": {
            "spanmetrics": {
                "histogram": {"unit": "s", "explicit": {"buckets": list(_BUCKETS)}},
                "aggregation_cardinality_limit": _SERIES,
                "resource_metrics_key_attributes": ["service.name"],
                "metrics_flush_interval": "30s",
                "metrics_expiration": "1h",
            }
        },
        "exporters": {
            "otlp_grpc": {
                "endpoint": store,
                "tls": {"ca_file": store_ca} if store_ca else {},
                "sending_queue": {"queue_size": 100},
                "retry_on_failure": {"max_elapsed_time": "60s"},
            },
            "prometheus": {
                "endpoint": f"0.0.0.0:{METRICS_PORT}",
                "tls": tls,
                "metric_expiration": "5m",
                "without_scope_info": True,
                "resource_to_telemetry_conversion": {"enabled": True},
            },
        },
        "service": {
            "extensions": ["health_check"],
            "pipelines": {
                # Figures are of all spans: their pipeline is one of its own, without a judge.
                "traces/figures": {
                    "receivers": ["otlp"],
                    "processors": ["memory_limiter"],
                    "exporters": ["spanmetrics"],
                },
                "traces/kept": {
                    "receivers": ["otlp"],
                    "processors": ["memory_limiter", "tail_sampling", "batch"],
                    "exporters": ["otlp_grpc"],
                },
                "metrics": {
                    "receivers": ["spanmetrics", "k8s_cluster"],
                    "processors": ["memory_limiter"],
                    "exporters": ["prometheus"],
                },
            },
            "telemetry": {
                "logs": {"encoding": "json"},
                "metrics": {
                    "level": "basic",
                    "readers": [
                        {"pull": {"exporter": {"prometheus": {"host": _ALL, "port": OWN_PORT}}}}
                    ],
                },
            },
        },
    }
    return yaml.safe_dump(document, sort_keys=False)


def _objects(namespaces: Sequence[str], wanted: frozenset[str]) -> dict[str, Any]:
    return {
        "namespaces": list(namespaces),
        "collection_interval": "30s",
        # Of what changes objects are told at once; nothing here asks for the rest.
        "metadata_collection_interval": "0s",
        "metrics": {
            **{name: {"enabled": False} for name in _BY_DEFAULT if name not in wanted},
            **{name: {"enabled": True} for name in sorted(wanted)},
        },
        "resource_attributes": {name: {"enabled": False} for name in _CHANGING},
    }


def _judged(kept: float) -> dict[str, Any]:
    return {
        "decision_wait": _WAIT,
        "num_traces": _TRACES,
        "decision_cache": {"sampled_cache_size": _TRACES, "non_sampled_cache_size": _TRACES},
        "policies": [
            {"name": "failed", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
            {"name": "slow", "type": "latency", "latency": {"threshold_ms": _SLOW_MS}},
            # A caller who had a request recorded (`make logs`, a test) looks for it.
            {
                "name": "asked-for",
                "type": "boolean_attribute",
                "boolean_attribute": {"key": "millrace.asked_for", "value": True},
            },
            {
                "name": "some",
                "type": "probabilistic",
                "probabilistic": {"sampling_percentage": round(kept * 100, 4)},
            },
        ],
    }
