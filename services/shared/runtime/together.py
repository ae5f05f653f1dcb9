"""Questions that come while an answer is out are asked together.

A call to a server costs its client about as much for a hundred questions as for one. So the more
requests there are at once, the larger the calls get, and one that comes alone goes alone, at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from services.shared.runtime import tracing

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Together(Generic[Question, Answer]):
    """`call` answers questions, in their order; what it raises, all who asked get.

    Each waits at most `patience` seconds, and gets what `late` makes then. A call has to end by
    itself.
    """

    def __init__(
        self,
        call: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]],
        *,
        lanes: int,
        most: int,
        patience: float,
        late: Callable[[str], Exception] = TimeoutError,
    ) -> None:
        """`lanes`: calls at a time; `most`: questions in one."""
        self._call = call
        self._lanes = lanes
        self._most = most
        self._patience = patience
        self._late = late
        self._waiting: deque[tuple[Question, asyncio.Future[Answer]]] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question) -> Answer:
        """The answer. Who is cancelled while waiting disturbs nobody else."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((question, answer))
        if len(self._running) < self._lanes:
            self._running.add(asyncio.create_task(self._drive()))
        timer = loop.call_later(self._patience, self._give_up, answer)
        try:
            return await answer
        finally:
            timer.cancel()

    def _give_up(self, answer: asyncio.Future[Answer]) -> None:
        if not answer.done():
            answer.set_exception(self._late(f"no answer within {self._patience:g} s"))

    async def _drive(self) -> None:
        tracing.unbind()
        lane = asyncio.current_task()
        assert lane is not None
        try:
            while taken := self._next():
                await self._answer(taken)
        finally:
            # Nothing is awaited between finding nobody and this: who comes next starts a new lane.
            self._running.discard(lane)

    async def _answer(self, taken: Sequence[tuple[Question, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._call([question for question, _ in taken])
            for (_, waiting), answer in zip(taken, answers, strict=True):
                if not waiting.done():
                    waiting.set_result(answer)
        except BaseException as error:
            told = error if isinstance(error, Exception) else self._late("the call was given up")
            for _, waiting in taken:
                if not waiting.done():
                    waiting.set_exception(told)
            if told is not error:
                raise

    def _next(self) -> list[tuple[Question, asyncio.Future[Answer]]]:
        taken: list[tuple[Question, asyncio.Future[Answer]]] = []
        while self._waiting and len(taken) < self._most:
            asked = self._waiting.popleft()
            if not asked[1].done():  # cancelled, or out of patience
                taken.append(asked)
        return taken
