"""The tasks' API through the published port: gRPC over TLS, by the platform's CA, with a token."""

import itertools
import json
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import grpc.aio

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from bootstrap.prometheus import trusted
from loadtests.tokens import TokenFailed, Tokens
from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from tests.e2e.steady import TIMEOUT, Call, Clocked

ENTRY: Final = "grpc"
SERVICE: Final = tasks_pb2.DESCRIPTOR.services_by_name["TaskService"]
_NAME: Final = "grpc-service.apps.svc"
"""In the certificate, which is the Service's and not this machine's."""
_RETRIES: Final = {
    "methodConfig": [
        {
            "name": [{"service": SERVICE.full_name}],
            "waitForReady": True,
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
"""As a client's service config says it: all calls here may be made twice."""
_OPTIONS: Final = (
    ("grpc.service_config", json.dumps(_RETRIES)),
    ("grpc.ssl_target_name_override", _NAME),
    ("grpc.use_local_subchannel_pool", 1),  # a connection for each channel
    ("grpc.enable_http_proxy", 0),
)
_CHANNELS: Final = 4


class Shown(grpc.AuthMetadataPlugin):
    """Puts the token of the moment on each attempt of a call, and counts those: nobody else is told
    when the library tries one again."""

    def __init__(self, tokens: Tokens) -> None:
        self.attempts = 0
        self._tokens = tokens
        self._lock = threading.Lock()

    def __call__(
        self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback
    ) -> None:
        with self._lock:
            self.attempts += 1
        try:
            callback((("authorization", self._tokens.header()),), None)
        except TokenFailed as error:
            callback((), error)


@dataclass(frozen=True)
class Way:
    """To the published port. ``shown`` None: without a token."""

    target: str
    ca: str
    shown: Shown | None

    def credentials(self) -> grpc.ChannelCredentials:
        over_tls = grpc.ssl_channel_credentials(self.ca.encode())
        if self.shown is None:
            return over_tls
        return grpc.composite_channel_credentials(
            over_tls, grpc.metadata_call_credentials(self.shown)
        )

    @contextmanager
    def open(self) -> Iterator[grpc.Channel]:
        """For a client that makes one call after the other."""
        with grpc.secure_channel(self.target, self.credentials(), _OPTIONS) as channel:
            yield channel

    def open_aio(self) -> grpc.aio.Channel:
        """For the caller to close."""
        return grpc.aio.secure_channel(self.target, self.credentials(), _OPTIONS)


def way_to(checkout: Checkout, kube: Kube, tokens: Tokens | None) -> Way:
    """As a client would go it that trusts the internal CA. Raises KubeError."""
    target = f"127.0.0.1:{checkout.port(ENTRY)}"
    return Way(target, trusted(kube), Shown(tokens) if tokens else None)


def method(channel: Any, name: str) -> Any:
    """A method of the contract, on a channel of either kind; takes and gives its messages."""
    streams = SERVICE.methods_by_name[name].server_streaming
    return (channel.unary_stream if streams else channel.unary_unary)(
        f"/{SERVICE.full_name}/{name}",
        getattr(tasks_pb2, f"{name}Request").SerializeToString,
        getattr(tasks_pb2, f"{name}Response").FromString,
    )


def asked_for(resource_id: str, text: str, **more: Any) -> tasks_pb2.ProcessTaskRequest:
    """A task that counts the terms of a text; the same one, however often it is sent."""
    request = tasks_pb2.ProcessTaskRequest(
        resource_id=resource_id, action="terms", request_id=str(uuid.uuid4()), **more
    )
    request.input.update({"text": text})
    return request


@dataclass(kw_only=True)
class Calling(Clocked):
    """Tasks that are asked for, and four times as many looks at how far they are."""

    way: Way
    prefix: str
    resources: int = 50
    ids: list[str] = field(default_factory=list[str])
    """Of the tasks that were made."""

    @property
    def retries(self) -> int:
        """How many calls were sent again, while none is under way."""
        assert self.way.shown is not None
        return self.way.shown.attempts - self.count - len(self.failed)

    async def calls(self) -> None:
        async with AsyncExitStack() as opened:
            channels = [
                await opened.enter_async_context(self.way.open_aio()) for _ in range(_CHANNELS)
            ]
            process = [method(channel, "ProcessTask") for channel in channels]
            await self.one("ProcessTask", lambda: self._process(process[0], 0))
            await self.on_the_clock(
                self._mixed(process, [method(channel, "GetTaskStatus") for channel in channels])
            )

    def _mixed(self, process: list[Any], look: list[Any]) -> Iterator[tuple[str, Call]]:
        for number in itertools.count(1):
            on = number // 5 % _CHANNELS  # each kind on each channel
            if number % 5 == 0:
                yield "ProcessTask", lambda on=on, number=number: self._process(process[on], number)
            else:
                yield "GetTaskStatus", lambda on=on, number=number: self._look(look[on], number)

    async def _process(self, call: Any, number: int) -> str:
        resource = f"{self.prefix}-{number % self.resources}"
        request = asked_for(resource, f"the words of number {number}")
        return await _ended(lambda: call(request, timeout=TIMEOUT), self._note)

    def _note(self, response: tasks_pb2.ProcessTaskResponse) -> str:
        self.ids.append(response.task.id)
        return ""

    async def _look(self, call: Any, number: int) -> str:
        wanted = self.ids[number % len(self.ids)]
        request = tasks_pb2.GetTaskStatusRequest(task_id=wanted)

        def is_it(response: tasks_pb2.GetTaskStatusResponse) -> str:
            return "" if response.task.id == wanted else f"{response.task.id} is not {wanted}"

        return await _ended(lambda: call(request, timeout=TIMEOUT), is_it)


async def _ended(call: Callable[[], Awaitable[Any]], judge: Callable[[Any], str]) -> str:
    try:
        return judge(await call())
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name} {error.details()}"
