"""Questions that come while an answer is out are asked together.

A call to a server costs its client about as much for a hundred questions as for one. So the more
requests there are at once, the larger the calls get, and one that comes alone goes alone, at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from services.shared.runtime import context

if TYPE_CHECKING:
    from opentelemetry.trace import Span

Question = TypeVar("Question")
Answer = TypeVar("Answer")

_Asked = tuple[Question, asyncio.Future[Answer], float, "Span | None"]
"""A question, who waits for its answer, until when (the loop's time), and in which span."""


class Together(Generic[Question, Answer]):
    """`call` answers questions, in their order; what it raises, all who asked get.

    A call is in the trace of the first who asked and is recorded, and links to the others.

    Each waits at most `patience` seconds (and a hundredth more, as one timer serves all), and gets
    what `late` makes then, or `lost` if the question was out already. A call has to end by itself.
    """

    def __init__(
        self,
        call: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]],
        *,
        lanes: int,
        most: int,
        patience: float,
        late: Callable[[str], Exception] = TimeoutError,
        lost: Callable[[str], Exception] | None = None,
        weigh: Callable[[Question], int] | None = None,
    ) -> None:
        """`lanes`: calls at a time; `most`: questions in one, or what they may weigh together,
        where one that weighs more goes alone."""
        self._call = call
        self._lanes = lanes
        self._most = most
        self._patience = patience
        self._late = late
        self._lost = lost or late
        self._weigh = weigh
        self._waiting: deque[_Asked[Question, Answer]] = deque()
        self._out: dict[asyncio.Task[None], Sequence[_Asked[Question, Answer]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def ask(self, question: Question) -> asyncio.Future[Answer]:
        """The answer. Who is cancelled while waiting disturbs nobody else."""
        # Kept: to ask for it is a call of the system each time.
        loop = self._loop = self._loop or asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        until = loop.time() + self._patience
        self._waiting.append((question, answer, until, context.span()))
        if len(self._out) < self._lanes:
            self._out[loop.create_task(self._drive())] = ()
        if self._timer is None:
            self._timer = loop.call_at(until, self._give_up)
        return answer

    async def close(self) -> None:
        """Wait for the calls that are out."""
        await asyncio.gather(*self._out, return_exceptions=True)

    def _give_up(self) -> None:
        """Tell those whose patience is over; come back when it may be the next one's turn."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        reason = f"no answer within {self._patience:g} s"
        left: list[float] = []
        told = [(out, self._lost) for out in self._out.values()]
        for asked, error in (*told, (self._waiting, self._late)):
            for _, answer, until, _ in asked:
                if answer.done():
                    continue
                if until > now:
                    left.append(until)  # those behind it came later
                    break
                answer.set_exception(error(reason))
        self._timer = None
        if left:
            soonest = max(min(left), now + self._patience / 100)
            self._timer = loop.call_at(soonest, self._give_up)

    async def _drive(self) -> None:
        # This task is nobody's request: its log lines must not carry the one that started it.
        context.unbind()
        lane = asyncio.current_task()
        assert lane is not None
        try:
            while taken := self._next():
                self._out[lane] = taken
                await self._answer(taken)
        finally:
            # Nothing is awaited between finding nobody and this: who comes next starts a new lane.
            del self._out[lane]

    async def _answer(self, taken: Sequence[_Asked[Question, Answer]]) -> None:
        try:
            with context.Serving(span for *_, span in taken):
                answers = await self._call([question for question, *_ in taken])
            for (_, waiting, *_), answer in zip(taken, answers, strict=True):
                if not waiting.done():
                    waiting.set_result(answer)
        except BaseException as error:
            told = error if isinstance(error, Exception) else self._lost("the call was given up")
            for _, waiting, *_ in taken:
                if not waiting.done():
                    waiting.set_exception(told)
            if told is not error:
                raise

    def _next(self) -> list[_Asked[Question, Answer]]:
        """Who goes together: in the order they came, as many as fit."""
        taken: list[_Asked[Question, Answer]] = []
        weight, weigh = 0, self._weigh
        while self._waiting:
            asked = self._waiting[0]
            if not asked[1].done():  # else cancelled, or out of patience
                weight += weigh(asked[0]) if weigh else 1
                if taken and weight > self._most:
                    break
                taken.append(asked)
            self._waiting.popleft()
        return taken
