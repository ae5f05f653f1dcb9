"""Where the services' spans go, and what tells of Kubernetes' objects."""

from typing import Any

from components.monitoring.collector import Collector, CollectorArgs
from components.monitoring.jaeger import OTLP_PORT, Jaeger, JaegerArgs
from infra.model.objects import COLLECTOR, JAEGER, MONITORING
from infra.monitoring import exporters
from infra.stack.convert import resources
from infra.stack.foundation import INSIDE, Foundation


def provide_collector(ground: Foundation) -> None:
    """The collector, and where the stack names no other store of traces, Jaeger."""
    settings = ground.settings.tracing
    if settings.store is None:
        Jaeger(
            JAEGER,
            JaegerArgs(
                **_common(ground, JAEGER),
                resources=resources(settings.jaeger.resources),
                traces=settings.jaeger.traces,
            ),
            ground.child,
        )
    Collector(
        COLLECTOR,
        CollectorArgs(
            **_common(ground, COLLECTOR),
            resources=resources(settings.collector),
            watches={short: ground.namespaces.names[short] for short in INSIDE},
            watched_names=INSIDE,
            metrics=frozenset(map(_dotted, exporters.names(_RECEIVER))),
            kept=settings.kept,
            # Whichever is there first tries until the other is.
            store=settings.store or f"{JAEGER}.{MONITORING}.svc:{OTLP_PORT}",
            store_inside=settings.store is None,
        ),
        ground.child,
    )


_RECEIVER = "OpenTelemetry Collector, k8s_cluster receiver"


def _dotted(name: str) -> str:
    """Prometheus' name of a metric as the collector has it."""
    return ".".join(name.split("_", 2))


def _common(ground: Foundation, image: str) -> dict[str, Any]:
    return {
        "namespace": ground.namespaces.names[MONITORING],
        "image": ground.catalogue.reference(image),
        "pull_secrets": ground.settings.images.pull_secrets,
        "authority": ground.authority,
        "ca": ground.authority.bundles[MONITORING],
    }
