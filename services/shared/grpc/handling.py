"""What every call gets: correlation id, trace, limits, a look at its token, a deadline, metrics, a
log line, and a status with details whatever goes wrong.

Composed with its handler for each method when the server is made, and not a chain of gRPC's
interceptors: those are looked up and called anew for each call, see neither the message nor how a
stream ends unless they wrap the handler once more, and one that refuses has to make up a handler.
Messages come and go as bytes, so what cannot be read is refused here as everything else is.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.descriptor import MethodDescriptor

from services.shared.grpc import calls, verdicts
from services.shared.grpc.books import MethodBooks
from services.shared.grpc.calls import CORRELATION_ID, Call
from services.shared.grpc.errors import StatusError
from services.shared.grpc.load import Ending, Load
from services.shared.grpc.messages import Messages
from services.shared.grpc.methods import Method, Openly, Service
from services.shared.grpc.metrics import GrpcMetrics
from services.shared.grpc.settings import GrpcSettings
from services.shared.runtime import context
from services.shared.runtime.late import Late

if TYPE_CHECKING:
    from services.shared.http.gate import Guard, Limit


@dataclass(frozen=True, slots=True)
class Shared:
    """What all methods of a server share. guard: who knows clients by their tokens; None: they need
    show nothing. limit: who knows how often they may call; None: as often as they like."""

    settings: GrpcSettings
    metrics: GrpcMetrics
    load: Load
    guard: Guard | None
    limit: Limit | None
    log_all: bool


class Handling:
    """Of one method; made inside the running loop."""

    def __init__(
        self, shared: Shared, service: Service, method: Method, said: MethodDescriptor
    ) -> None:
        settings = shared.settings
        # Kept: to ask for it is a call of the system each time.
        self._loop = asyncio.get_running_loop()
        self._guard = shared.guard
        # Who looks at health comes as often as it is told to, and would take a refusal for an end.
        self._limit = None if method.quiet else shared.limit
        self._load = shared.load
        self._messages = Messages(said, settings)
        self._handler: Any = method.handler
        self._explain = service.explain
        self._needs = None if isinstance(method.needs, Openly) else method.needs
        self._room = shared.load.open_streams if self._needs is None else shared.load.streams
        self._quiet = method.quiet
        self._both = said.client_streaming
        self._streams = said.server_streaming
        self._most = settings.stream_seconds if self._streams else settings.most_seconds
        self._unless = settings.stream_seconds if self._streams else settings.default_seconds
        self.path = f"/{service.full_name}/{method.name}"
        streams = ("bidi" if self._both else "server") if self._streams else ""
        self._books = MethodBooks(
            shared.metrics,
            service.full_name,
            method.name,
            streams=streams,
            log_all=shared.log_all,
            quiet=method.quiet,
        )

    def registered(self) -> grpc.RpcMethodHandler:
        """As a server takes it."""
        if self._both:
            return grpc.stream_stream_rpc_method_handler(self._stream)
        if self._streams:
            return grpc.unary_stream_rpc_method_handler(self._stream)
        return grpc.unary_unary_rpc_method_handler(self._call)

    async def _call(self, request: bytes, rpc: Any) -> bytes:
        started = self._books.begin()
        call, given = self._begin(rpc)
        code, taken = grpc.StatusCode.OK, False
        try:
            if not self._quiet:
                self._load.take_call()
                taken = True
            answer = await self._answer(request, rpc, call, given)
            rpc.set_trailing_metadata(((CORRELATION_ID, call.correlation_id),))
            return answer
        except BaseException as error:
            known, code = self._judged(error, call)
            if known is None:
                raise
        finally:
            self._load.calls -= taken
            self._books.note(started, code, call.correlation_id, self.path)
        return await verdicts.end(rpc, known, call)

    async def _answer(self, request: bytes, rpc: Any, call: Call, given: float | None) -> bytes:
        await self._admit(rpc, call, given)
        message = self._messages.read(request)
        if given is not None and given <= self._most:
            response = await self._handler(message, call)  # at its deadline gRPC cancels the task
        else:
            late = Late(asyncio.current_task())
            timer = self._loop.call_at(call.deadline, late)
            try:
                response = await self._handler(message, call)
            except asyncio.CancelledError:
                if not late.cancelled():
                    raise
                seconds = self._unless if given is None else self._most
                raise verdicts.too_late(seconds, has_deadline=given is not None) from None
            finally:
                timer.cancel()
        return self._messages.written(response)

    async def _stream(self, request: Any, rpc: Any) -> None:
        started = self._books.begin()
        call, given = self._begin(rpc)
        code, ending = grpc.StatusCode.OK, Ending(asyncio.current_task())
        try:
            self._room.take(ending)
            await self._tell(request, rpc, call, given, ending)
            rpc.set_trailing_metadata(((CORRELATION_ID, call.correlation_id),))
            return
        except BaseException as error:
            known, code = self._judged(error, call)
            if known is None:
                raise
        finally:
            self._room.leave(ending)
            self._books.note(started, code, call.correlation_id, self.path)
        await verdicts.end(rpc, known, call)

    async def _tell(
        self, request: Any, rpc: Any, call: Call, given: float | None, ending: Ending
    ) -> None:
        timer = None
        if given is None or given > self._most:
            timer = self._loop.call_at(call.deadline, ending.end, verdicts.long_enough())
        try:
            await self._admit(rpc, call, given)
            # The client knows by it that the stream is open, though nothing is to be told yet.
            await ending.sent(rpc.send_initial_metadata(((CORRELATION_ID, call.correlation_id),)))
            read = self._messages.each if self._both else self._messages.read
            async with aclosing(self._handler(read(request), call)) as responses:
                async for response in responses:
                    await ending.sent(rpc.write(self._messages.written(response)))
        except asyncio.CancelledError:
            if ending.why is None or not ending.cancelled():
                raise
            raise ending.why from None
        finally:
            if timer is not None:
                timer.cancel()

    def _begin(self, rpc: Any) -> tuple[Call, float | None]:
        """The call, and how many seconds its client gives it."""
        given = rpc.time_remaining()
        seconds = self._unless if given is None else min(given, self._most)
        deadline = self._loop.time() + seconds
        return calls.begin(calls.read(rpc), deadline, quiet=self._quiet), given

    async def _admit(self, rpc: Any, call: Call, given: float | None) -> None:
        """Let the call in, and have its log lines name the client. Raises StatusError or
        ProblemError."""
        if given is not None and given <= 0:
            raise verdicts.not_begun()
        client = None
        if self._needs is not None and self._guard is not None:
            shown = calls.text(call.metadata, "authorization")
            header = None if shown is None else shown.encode()
            client = None if header is None else self._guard.known(header, self._needs)
            if client is None:
                client = await self._guard.check(header, self._needs)
            context.identify(client)
        if self._limit is not None:
            self._limit.admit(client, calls.address(rpc))

    def _judged(
        self, error: BaseException, call: Call
    ) -> tuple[StatusError | None, grpc.StatusCode]:
        return verdicts.judged(error, call, self._explain, self._needs, self.path)
