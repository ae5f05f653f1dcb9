"""A gRPC server on loopback whose handlers a test gives, and a client of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from prometheus_client import CollectorRegistry

from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from services.contracts.scopes import TASKS_READ, TASKS_WRITE
from services.shared.grpc.calls import Call
from services.shared.grpc.errors import Explain
from services.shared.grpc.methods import Method, Service
from services.shared.grpc.server import GrpcServer
from services.shared.grpc.settings import GrpcSettings
from services.shared.http.gate import Guard, Limit
from services.shared.http.health import Readiness
from services.shared.runtime.settings import ServiceSettings

TASKS: Final = "millrace.tasks.v1.TaskService"
DESCRIPTOR: Final = tasks_pb2.DESCRIPTOR.services_by_name["TaskService"]
OK: Final = "OK"
SOON: Final = 20.0
"""Seconds in which a busy machine has done anything that is asked for here."""


async def process(request: Any, _call: Call) -> Any:
    return tasks_pb2.ProcessTaskResponse(task=tasks_pb2.Task(resource_id=request.resource_id))


async def get(request: Any, _call: Call) -> Any:
    return tasks_pb2.GetTaskStatusResponse(task=tasks_pb2.Task(id=request.task_id))


async def listed(_request: Any, _call: Call) -> Any:
    return tasks_pb2.ListTasksResponse()


async def watch(request: Any, _call: Call) -> AsyncIterator[Any]:
    for number in range(3):
        yield tasks_pb2.WatchTasksResponse(resume_token=f"{request.resume_token}{number}")


def service(explain: Explain | None = None, **handlers: Any) -> Service:
    """Handlers by the names of methods, in place of those above."""
    kept = {
        "ProcessTask": (process, TASKS_WRITE),
        "GetTaskStatus": (get, TASKS_READ),
        "ListTasks": (listed, TASKS_READ),
        "WatchTasks": (watch, TASKS_READ),
    }
    methods = [
        Method(name, handlers.get(name, handler), scope) for name, (handler, scope) in kept.items()
    ]
    return Service(DESCRIPTOR, methods, explain or (lambda _error: None))


@dataclass
class Ended:
    """How a call ended."""

    code: str
    message: str = ""
    trailing: dict[str, Any] = field(default_factory=dict)
    response: Any = None
    details: list[Any] = field(default_factory=list)

    def detail(self, kind: type[Message]) -> Any:
        """The one of that kind."""
        [found] = [one for one in self.details if isinstance(one, kind)]
        return found

    @property
    def reason(self) -> str:
        info = self.detail(error_details_pb2.ErrorInfo)
        assert info.domain == "millrace"
        return info.reason


@dataclass
class World:
    server: GrpcServer
    registry: CollectorRegistry
    readiness: Readiness
    channel: grpc.aio.Channel
    stop: asyncio.Event
    serving: asyncio.Task[None]

    def unary(self, method: str, service: str = TASKS) -> grpc.aio.UnaryUnaryMultiCallable:
        return self.channel.unary_unary(f"/{service}/{method}")

    def sample(self, name: str, **labels: str) -> float:
        named = {f"grpc_{label}": value for label, value in labels.items()}
        return self.registry.get_sample_value(name, named) or 0.0

    def handled(self, method: str, code: str, kind: str = "unary") -> float:
        labels = {"service": TASKS, "method": method, "type": kind, "code": code}
        return self.sample("grpc_server_handled_total", **labels)

    async def call(
        self,
        method: str = "ProcessTask",
        request: Message | bytes | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
        timeout: float | None = SOON,
        service: str = TASKS,
    ) -> Ended:
        """A call of a method that answers once, and how it ended."""
        request = tasks_pb2.ProcessTaskRequest(resource_id="r") if request is None else request
        text = request if isinstance(request, bytes) else request.SerializeToString()
        call = self.unary(method, service)(
            text, metadata=tuple((metadata or {}).items()), timeout=timeout
        )
        try:
            raw = await call
        except grpc.aio.AioRpcError as error:
            return ended_by(error)
        answers = {one.name: one.output_type for one in DESCRIPTOR.methods}
        response = raw if method not in answers else _read(method, raw)
        return Ended(OK, trailing=dict(await call.trailing_metadata() or ()), response=response)

    def watching(
        self,
        *,
        metadata: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **fields: Any,
    ) -> Any:
        """A stream of WatchTasks."""
        of = self.channel.unary_stream(
            f"/{TASKS}/WatchTasks",
            tasks_pb2.WatchTasksRequest.SerializeToString,
            tasks_pb2.WatchTasksResponse.FromString,
        )
        request = tasks_pb2.WatchTasksRequest(**fields)
        return of(request, metadata=tuple((metadata or {}).items()), timeout=timeout)


def _read(method: str, raw: bytes) -> Any:
    return getattr(tasks_pb2, f"{method}Response").FromString(raw)


def ended_by(error: grpc.aio.AioRpcError) -> Ended:
    trailing: dict[str, Any] = dict(error.trailing_metadata() or ())
    ended = Ended(error.code().name, error.details() or "", trailing)
    raw = trailing.get("grpc-status-details-bin")
    if raw is not None:
        status = status_pb2.Status.FromString(raw)
        assert (status.code, status.message) == (error.code().value[0], ended.message)
        for packed in status.details:
            kind = getattr(error_details_pb2, packed.type_url.rpartition(".")[2])
            ended.details.append(kind.FromString(packed.value))
    return ended


async def next_of(stream: Any) -> Any:
    """Its next response. Not by its read(), which tells of the end as soon as that has come, and
    not of what came before and was not read yet."""
    return await anext(aiter(stream))


async def rest_of(stream: Any) -> tuple[list[Any], Ended]:
    """All that a stream still tells, and how it ended.

    When it ends with an error, what came before and was not read yet is lost: the library of the
    client drops it.
    """
    told: list[Any] = []
    try:
        async for response in stream:
            told.append(response)
    except grpc.aio.AioRpcError as error:
        return told, ended_by(error)
    return told, Ended(OK, trailing=dict(await stream.trailing_metadata() or ()))


async def eventually(holds: Any, seconds: float = SOON) -> None:
    """Wait until `holds()`."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(
    *,
    guard: Guard | None = None,
    limit: Limit | None = None,
    explain: Explain | None = None,
    settings: Mapping[str, Any] | None = None,
    credentials: grpc.ChannelCredentials | None = None,
    drain: float = 0.0,
    grace: float = SOON,
    access_log: Any = "all",
    **handlers: Any,
) -> AsyncIterator[World]:
    registry = CollectorRegistry()
    readiness = Readiness(registry)
    given: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "tls": "off", **(settings or {})}
    server = GrpcServer(
        [service(explain, **handlers)],
        GrpcSettings(**given),
        ServiceSettings(
            service_name="svc",
            drain_seconds=drain,
            shutdown_grace_seconds=grace,
            access_log=access_log,
        ),
        readiness=readiness,
        registry=registry,
        guard=guard,
        limit=limit,
    )
    stop = asyncio.Event()
    await server.start()
    running = asyncio.create_task(server.serve(stop))
    address = f"localhost:{server.port}"
    # One of its own: channels of a process share connections to the same address otherwise.
    options = [("grpc.use_local_subchannel_pool", 1)]
    channel = (
        grpc.aio.insecure_channel(address, options=options)
        if credentials is None
        else grpc.aio.secure_channel(address, credentials, options=options)
    )
    try:
        async with channel:
            yield World(server, registry, readiness, channel, stop, running)
    finally:
        stop.set()
        with contextlib.suppress(asyncio.CancelledError):
            await running
