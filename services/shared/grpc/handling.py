"""What every call gets: correlation id, trace, limits, a look at its token, a deadline, metrics, a
log line, and a status with details whatever goes wrong.

Composed with its handler for each method when the server is made, and not a chain of gRPC's
interceptors: those are looked up and called anew for each call, see neither the message nor how a
stream ends unless they wrap the handler once more, and one that refuses has to make up a handler.
Messages come and go as bytes, so what cannot be read is refused here as everything else is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from services.shared.grpc import calls, errors
from services.shared.grpc.books import MethodBooks
from services.shared.grpc.calls import CORRELATION_ID, Call
from services.shared.grpc.errors import StatusError
from services.shared.grpc.load import Ending, Load
from services.shared.grpc.methods import Method, Openly, Service
from services.shared.grpc.metrics import GrpcMetrics
from services.shared.grpc.settings import GrpcSettings
from services.shared.http.problem import ProblemError
from services.shared.runtime import context
from services.shared.runtime.late import Late
from services.shared.runtime.logging import get_logger

if TYPE_CHECKING:
    from services.shared.http.gate import Guard

log = get_logger(__name__)

_CODES: Final = grpc.StatusCode
_TOLERANCE_SECONDS: Final = 0.02
"""gRPC ends a call at its deadline by a clock of its own."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all methods of a server share. guard: who knows clients by their tokens; None: they need
    show nothing."""

    settings: GrpcSettings
    metrics: GrpcMetrics
    load: Load
    guard: Guard | None
    log_all: bool


class Handling:
    """Of one method."""

    def __init__(
        self, shared: Shared, service: Service, method: Method, said: MethodDescriptor
    ) -> None:
        self._shared = shared
        self._settings = shared.settings
        self._load = shared.load
        self._handler: Any = method.handler
        self._explain = service.explain
        self._needs = None if isinstance(method.needs, Openly) else method.needs
        self._quiet = method.quiet
        self._request: Any = GetMessageClass(said.input_type)
        self._both = said.client_streaming
        self._streams = said.server_streaming
        self._most = (
            shared.settings.stream_seconds if self._streams else shared.settings.most_seconds
        )
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
        code, taken = _CODES.OK, False
        try:
            if not self._quiet:
                self._load.take_call()
                taken = True
            answer = await self._answer(request, call, given)
            rpc.set_trailing_metadata(((CORRELATION_ID, call.correlation_id),))
            return answer
        except BaseException as error:
            known, code = self._judged(error, call)
            if known is None:
                raise
            return await _end(rpc, known, call)
        finally:
            self._load.calls -= taken
            self._books.note(started, code, call.correlation_id, self.path)

    async def _answer(self, request: bytes, call: Call, given: float | None) -> bytes:
        await self._admit(call, given)
        message = self._read(request)
        if given is not None and given <= self._most:
            response = await self._handler(message, call)  # at its deadline gRPC cancels the task
        else:
            late = Late(asyncio.current_task())
            timer = asyncio.get_running_loop().call_at(call.deadline, late)
            try:
                response = await self._handler(message, call)
            except asyncio.CancelledError:
                if not late.cancelled():
                    raise
                raise self._too_late(given) from None
            finally:
                timer.cancel()
        return self._written(response)

    async def _stream(self, request: Any, rpc: Any) -> None:
        started = self._books.begin()
        call, given = self._begin(rpc)
        code, ending = _CODES.OK, Ending(asyncio.current_task())
        try:
            self._load.take_stream(ending)
            await self._tell(request, rpc, call, given, ending)
            rpc.set_trailing_metadata(((CORRELATION_ID, call.correlation_id),))
        except BaseException as error:
            known, code = self._judged(error, call)
            if known is None:
                raise
            await _end(rpc, known, call)
        finally:
            self._load.streams.discard(ending)
            self._books.note(started, code, call.correlation_id, self.path)

    async def _tell(
        self, request: Any, rpc: Any, call: Call, given: float | None, ending: Ending
    ) -> None:
        await self._admit(call, given)
        message = self._each(request) if self._both else self._read(request)
        # The client knows by it that the stream is open, though there may be nothing to tell yet.
        await rpc.send_initial_metadata(((CORRELATION_ID, call.correlation_id),))
        timer = None
        if given is None or given > self._most:
            timer = asyncio.get_running_loop().call_at(call.deadline, ending.end, _long_enough())
        try:
            async with aclosing(self._handler(message, call)) as responses:
                async for response in responses:
                    ending.sending = True
                    await rpc.write(self._written(response))
                    ending.sending = False
                    if ending.why is not None:
                        raise ending.why
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
        unless = self._most if self._streams else self._settings.default_seconds
        seconds = unless if given is None else min(given, self._most)
        deadline = asyncio.get_running_loop().time() + seconds
        return calls.begin(calls.read(rpc), deadline, quiet=self._quiet), given

    async def _admit(self, call: Call, given: float | None) -> None:
        """Let the call in, and have its log lines name the client. Raises StatusError or
        ProblemError."""
        if given is not None and given <= 0:
            raise StatusError(
                _CODES.DEADLINE_EXCEEDED,
                "NOT_BEGUN",
                "the deadline was over before the call could begin; give it more time",
            )
        guard = self._shared.guard
        if self._needs is None or guard is None:
            return
        shown = calls.text(call.metadata, "authorization")
        header = None if shown is None else shown.encode()
        client = None if header is None else guard.known(header, self._needs)
        if client is None:
            client = await guard.check(header, self._needs)
        context.identify(client)

    def _read(self, request: bytes) -> Any:
        most = self._settings.max_request_bytes
        if len(request) > most:
            raise StatusError(
                _CODES.RESOURCE_EXHAUSTED,
                "REQUEST_TOO_LARGE",
                f"the message is larger than {most} bytes; send less",
                about={"limit": str(most)},
            )
        try:
            # Fields that are not known are of a newer client, and left alone.
            return self._request.FromString(request)
        except DecodeError:
            name = self._request.DESCRIPTOR.full_name
            raise StatusError(
                _CODES.INVALID_ARGUMENT, "MALFORMED", f"the message is no {name}; correct it"
            ) from None

    async def _each(self, requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for request in requests:
            yield self._read(request)

    def _written(self, response: Any) -> bytes:
        text: bytes = response.SerializeToString()
        most = self._settings.max_response_bytes
        if len(text) > most:
            raise RuntimeError(f"{self.path} would answer with more than {most} bytes")
        return text

    def _too_late(self, given: float | None) -> StatusError:
        seconds = self._settings.default_seconds if given is None else self._most
        way_out = (
            "set a deadline" if given is None else "it may have gone on; ask what became of it"
        )
        return StatusError(
            _CODES.DEADLINE_EXCEEDED,
            "TOO_LATE",
            f"not done within {seconds:g} s, the most that is given to such a call; {way_out}",
        )

    def _judged(
        self, error: BaseException, call: Call
    ) -> tuple[StatusError | None, grpc.StatusCode]:
        """The status to end with, None where nobody is left to be told; and the one to count."""
        known: StatusError | None = None
        if isinstance(error, StatusError):
            known = error
        elif isinstance(error, ProblemError):
            known = errors.of_problem(error)
            if known.code is _CODES.PERMISSION_DENIED and self._needs is not None:
                known.about = {"scope": self._needs}
        elif isinstance(error, Exception) and not isinstance(error, grpc.aio.BaseError):
            known = self._explain(error)
            if known is None:
                log.exception("call_failed", method=self.path)
                known = errors.internal()
        if known is not None:
            return known, known.code
        # Cancelled, or gRPC's library says that there is nobody any more to send to.
        over = asyncio.get_running_loop().time() >= call.deadline - _TOLERANCE_SECONDS
        return None, _CODES.DEADLINE_EXCEEDED if over else _CODES.CANCELLED


async def _end(rpc: Any, error: StatusError, call: Call) -> Any:
    """End a call with a status; never returns."""
    trailing = errors.trailing(error, call.correlation_id)
    return await rpc.abort(
        error.code, error.message, ((CORRELATION_ID, call.correlation_id), *trailing)
    )


def _long_enough() -> StatusError:
    return StatusError(
        _CODES.UNAVAILABLE,
        "SERVED_LONG_ENOUGH",
        "a stream ends from time to time, so that clients spread over servers; resume it",
        retry_after=0,
    )
