"""A gRPC server of a process: made, served until it is told to stop, and ended gracefully."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio
from prometheus_client import CollectorRegistry

from services.shared.grpc import verdicts
from services.shared.grpc.credentials import Certificate
from services.shared.grpc.handling import Handling, Shared
from services.shared.grpc.health import Health
from services.shared.grpc.load import Load
from services.shared.grpc.methods import Service, TableError, matched
from services.shared.grpc.metrics import GrpcMetrics
from services.shared.grpc.reflection import reflection
from services.shared.grpc.settings import GrpcSettings
from services.shared.grpc.unknown import Unknown
from services.shared.http.health import Readiness
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import ServiceSettings

if TYPE_CHECKING:
    from services.shared.http.gate import Guard, Limit

log = get_logger(__name__)

_PATIENCE: Final = 4
"""How many times the largest message is still read, so that it can be refused with the reason."""
_HANDSHAKE_SECONDS: Final = 10.0
_SPARE_SECONDS: Final = 5.0
_AGES: Final = 1e9


class GrpcServer:
    """Serves `services`, and health and reflection beside them."""

    def __init__(
        self,
        services: Sequence[Service],
        settings: GrpcSettings,
        service: ServiceSettings,
        *,
        readiness: Readiness,
        registry: CollectorRegistry,
        guard: Guard | None,
        limit: Limit | None = None,
    ) -> None:
        """Inside the running loop. `guard`: who knows clients by their tokens, None: they need show
        nothing; `limit`: who knows how often they may call, None: as often as they like.

        Raises:
            TableError: a service lacks a handler, or has one too many.
        """
        self._settings = settings
        self._service = service
        self._readiness = readiness
        self._load = Load(calls=settings.calls, streams=settings.streams)
        metrics = GrpcMetrics(registry, self._load)
        log_all = service.access_log == "all"
        shared = Shared(settings, metrics, self._load, guard, limit, log_all)
        names = [one.full_name for one in services]
        self._health = Health(readiness, names, settings.health_seconds)
        health = self._health.service()
        every = [*services, health, *reflection([*names, health.full_name])]
        handlers: dict[str, grpc.RpcMethodHandler] = {}
        for one in every:
            for method, said in matched(one):
                handling = Handling(shared, one, method, said)
                if handling.path in handlers:
                    raise TableError(f"{handling.path} is there twice; leave one")
                handlers[handling.path] = handling.registered()
        # Until a call's message has come nothing of ours sees it, and it may never come: what waits
        # for one is bounded by the library, and by the age of its connection.
        self._server = grpc.aio.server(
            options=options(settings), maximum_concurrent_rpcs=self._load.pending
        )
        # One look-up for all methods. Those that are registered one by one are each waited for by
        # a task of its own, and the library looks through all of these for every call.
        self._server.add_generic_rpc_handlers([_Lookup(handlers, Unknown(metrics))])
        self.port = 0
        """Where it listens, once it does."""

    async def start(self) -> None:
        """Listen. Raises RuntimeError when the port is taken, and CertificateError."""
        settings = self._settings
        address = f"{settings.host}:{settings.port}"
        if settings.tls == "off":
            self.port = self._server.add_insecure_port(address)
        else:
            assert settings.certificate_file is not None, "the settings insist on it"
            assert settings.key_file is not None, "the settings insist on it"
            name = self._service.service_name
            shown = Certificate(name, settings.certificate_file, settings.key_file)
            self.port = self._server.add_secure_port(address, shown.credentials())
        await self._server.start()
        log.info("grpc_listening", port=self.port)

    async def serve(self, stop: asyncio.Event) -> None:
        """Listen, if that is not so yet, until `stop` is set.

        Then health says so at once, and for drain_seconds all goes on, so that load balancers see
        it. After that clients are told to connect elsewhere, streams end with UNAVAILABLE, and
        calls in hand get shutdown_grace_seconds to finish; what is left then is cancelled.
        """
        if not self.port:
            await self.start()
        # Without a limit of time who waits and is cancelled would take the library's own future
        # along, and the process with it.
        ended = asyncio.create_task(self._server.wait_for_termination(_AGES))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                self._readiness.drain()
                self._health.drain()
                await asyncio.wait({ended}, timeout=self._service.drain_seconds)
                await self._end(self._service.shutdown_grace_seconds)
            await ended  # raises what broke it
        finally:
            stopping.cancel()
            stop.set()
            await self._end(0)

    async def _end(self, grace: float) -> None:
        leaving = asyncio.create_task(self._server.stop(grace))
        await asyncio.sleep(0)  # first the word that this is no place for new calls
        self._load.end_streams(verdicts.stopping())
        await leaving


class _Lookup(grpc.GenericRpcHandler):
    def __init__(self, handlers: dict[str, grpc.RpcMethodHandler], unknown: Unknown) -> None:
        self._handlers = handlers
        self._unknown = unknown

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler:
        path: str = handler_call_details.method
        return self._handlers.get(path) or self._unknown.handler(path)


def options(settings: GrpcSettings) -> list[tuple[str, int]]:
    """What gRPC's library is told."""
    longest = max(settings.most_seconds, settings.stream_seconds) + _SPARE_SECONDS
    return [
        # A second process at the same port would take half of the connections, unseen.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", _PATIENCE * settings.max_request_bytes),
        ("grpc.max_send_message_length", settings.max_response_bytes),
        ("grpc.server_handshake_timeout_ms", _ms(_HANDSHAKE_SECONDS)),
        ("grpc.max_concurrent_streams", settings.calls_per_connection),
        # It would count calls that have ended and are not yet put away, and so refuse clients that
        # keep to the limit, with a status that they do not try again by themselves.
        ("grpc.http.overload_protection", 0),
        ("grpc.max_connection_age_ms", _ms(settings.connection_seconds)),
        # Nothing is cut off that is within its own limit of time.
        ("grpc.max_connection_age_grace_ms", _ms(longest)),
        ("grpc.keepalive_time_ms", _ms(settings.keepalive_seconds)),
        ("grpc.keepalive_timeout_ms", _ms(settings.keepalive_timeout_seconds)),
        # Those of keepalive are pings, too, and without this wait a minute for their answer.
        ("grpc.http2.ping_timeout_ms", _ms(settings.keepalive_timeout_seconds)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _ms(settings.client_ping_seconds)),
        ("grpc.http2.max_ping_strikes", 2),
    ]


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
