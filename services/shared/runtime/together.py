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

    It has to end by itself: nobody here looks at the clock.
    """

    def __init__(
        self,
        call: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]],
        *,
        lanes: int,
        most: int,
    ) -> None:
        """`lanes`: calls at a time; `most`: questions in one."""
        self._call = call
        self._lanes = lanes
        self._most = most
        self._waiting: deque[tuple[Question, asyncio.Future[Answer]]] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question) -> Answer:
        """The answer. Who is cancelled while waiting disturbs nobody else."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if len(self._running) < self._lanes:
            self._running.add(asyncio.create_task(self._drive()))
        return await answer

    async def _drive(self) -> None:
        tracing.unbind()
        while taken := self._next():
            try:
                answers = await self._call([question for question, _ in taken])
            except Exception as error:
                for _, waiting in taken:
                    if not waiting.done():
                        waiting.set_exception(error)
                continue
            for (_, waiting), answer in zip(taken, answers, strict=True):
                if not waiting.done():
                    waiting.set_result(answer)
        # Nothing is awaited between finding nobody and this: who comes next starts a new lane.
        lane = asyncio.current_task()
        assert lane is not None
        self._running.discard(lane)

    def _next(self) -> list[tuple[Question, asyncio.Future[Answer]]]:
        taken: list[tuple[Question, asyncio.Future[Answer]]] = []
        while self._waiting and len(taken) < self._most:
            asked = self._waiting.popleft()
            if not asked[1].done():  # cancelled
                taken.append(asked)
        return taken
