"""The tasks' API through the published port: gRPC with a token."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import grpc.aio

from bootstrap.checkout import Checkout
from loadtests.tokens import Tokens
from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from tests.e2e.steady import TIMEOUT, Call, Clocked

ENTRY: Final = "grpc"
SERVICE: Final = tasks_pb2.DESCRIPTOR.services_by_name["TaskService"]
_OPTIONS: Final = (
    ("grpc.use_local_subchannel_pool", 1),  # a connection for each channel
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),  # they are counted here
)
_CHANNELS: Final = 4
_ATTEMPTS: Final = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
"""Seconds, as a service config would have them for calls that may be made twice."""
_AGAIN: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
"""The second is what a client sees of a call that had reached a server as it stopped, and that its
library had not handed over yet."""


@dataclass(frozen=True)
class Opened:
    """A channel of either kind, and what is shown on it."""

    channel: Any
    tokens: Tokens | None

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Of one call."""
        return (("authorization", self.tokens.header()),) if self.tokens else ()


@dataclass(frozen=True)
class Way:
    """To the published port. ``tokens`` None: without one."""

    target: str
    tokens: Tokens | None

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """For a client that makes one call after the other."""
        with grpc.insecure_channel(self.target, _OPTIONS) as channel:
            yield Opened(channel, self.tokens)

    @asynccontextmanager
    async def open_aio(self) -> AsyncIterator[Opened]:
        """For a client that makes many at a time."""
        async with grpc.aio.insecure_channel(self.target, _OPTIONS) as channel:
            yield Opened(channel, self.tokens)


def way_to(checkout: Checkout, tokens: Tokens | None) -> Way:
    return Way(f"127.0.0.1:{checkout.port(ENTRY)}", tokens)


def method(opened: Opened, name: str) -> Callable[..., Any]:
    """A method of the contract; takes and gives its messages."""
    streams = SERVICE.methods_by_name[name].server_streaming
    made = (opened.channel.unary_stream if streams else opened.channel.unary_unary)(
        f"/{SERVICE.full_name}/{name}",
        getattr(tasks_pb2, f"{name}Request").SerializeToString,
        getattr(tasks_pb2, f"{name}Response").FromString,
    )

    def call(request: Any, *, timeout: float, metadata: tuple[tuple[str, str], ...] = ()) -> Any:
        given = (*opened.metadata(), *metadata)
        return made(request, timeout=timeout, wait_for_ready=True, metadata=given)

    return call


def asked_for(resource_id: str, text: str, **more: Any) -> tasks_pb2.ProcessTaskRequest:
    """A task that counts the terms of a text; the same one, however often it is sent."""
    request = tasks_pb2.ProcessTaskRequest(
        resource_id=resource_id, action="terms", request_id=str(uuid.uuid4()), **more
    )
    request.input.update({"text": text})
    return request


@dataclass(kw_only=True)
class Calling(Clocked):
    """Tasks that are asked for, and nine times as many looks at how far they are."""

    way: Way
    prefix: str
    resources: int = 50
    ids: list[str] = field(default_factory=list[str])
    """Of the tasks that were made."""
    retries: int = 0
    """How often a call was sent again."""

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
            on = number // 10 % _CHANNELS  # each kind on each channel
            if number % 10 == 0:
                yield "ProcessTask", lambda on=on, number=number: self._process(process[on], number)
            else:
                yield "GetTaskStatus", lambda on=on, number=number: self._look(look[on], number)

    async def _process(self, call: Any, number: int) -> str:
        resource = f"{self.prefix}-{number % self.resources}"
        request = asked_for(resource, f"the words of number {number}")
        return await self._ended(lambda: call(request, timeout=TIMEOUT), self._note)

    def _note(self, response: tasks_pb2.ProcessTaskResponse) -> str:
        self.ids.append(response.task.id)
        return ""

    async def _look(self, call: Any, number: int) -> str:
        wanted = self.ids[number % len(self.ids)]
        request = tasks_pb2.GetTaskStatusRequest(task_id=wanted)

        def is_it(response: tasks_pb2.GetTaskStatusResponse) -> str:
            return "" if response.task.id == wanted else f"{response.task.id} is not {wanted}"

        return await self._ended(lambda: call(request, timeout=TIMEOUT), is_it)

    async def _ended(self, call: Callable[[], Awaitable[Any]], judge: Callable[[Any], str]) -> str:
        pause = _FIRST_PAUSE
        for left in reversed(range(_ATTEMPTS)):
            try:
                return judge(await call())
            except grpc.aio.AioRpcError as error:
                if not left or error.code() not in _AGAIN:
                    return f"{error.code().name} {error.details()}"
            self.retries += 1
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)
        raise AssertionError("the last attempt returns")
