"""The metrics of a gRPC server, named as those of other languages' servers are."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.shared.grpc.load import Load
from services.shared.runtime.metrics import LATENCY_BUCKETS


class GrpcMetrics:
    """Those of one server. Calls of methods that there are not have `unknown` for both names, of
    which there would be no end."""

    def __init__(self, registry: CollectorRegistry, load: Load) -> None:
        self.started = Counter(
            "grpc_server_started",
            "Calls begun.",
            ["grpc_service", "grpc_method", "grpc_type"],
            registry=registry,
        )
        self.handled = Counter(
            "grpc_server_handled",
            "Calls ended, by status.",
            ["grpc_service", "grpc_method", "grpc_type", "grpc_code"],
            registry=registry,
        )
        self.seconds = Histogram(
            "grpc_server_handling_seconds",
            "Time from a call's message to its end, without what its client asked to wait; of"
            " streams as long as they last.",
            ["grpc_service", "grpc_method", "grpc_type"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        calls = Gauge("grpc_server_in_flight", "Calls in hand, streams aside.", registry=registry)
        calls.set_function(lambda: load.calls)
        streams = Gauge("grpc_server_streams", "Streams under way.", registry=registry)
        streams.set_function(lambda: len(load.streams) + len(load.open_streams))
