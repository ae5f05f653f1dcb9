"""Questions that share calls, with a server that answers when the test lets it."""

import asyncio
from collections.abc import Sequence

import pytest

from services.shared.runtime.together import Together
from tests.unit.services.shared.loop_clock import LoopClock


class Server:
    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.go_on = asyncio.Event()

    async def answer(self, questions: Sequence[int]) -> list[int]:
        self.calls.append([*questions])
        await self.go_on.wait()
        if 13 in questions:
            raise ConnectionError("thirteen")
        return [-one for one in questions]


async def test_who_asks_while_a_call_is_out_shares_the_next_one() -> None:
    server = Server()
    together = Together(server.answer, lanes=1, most=3, patience=60)
    asking = [together.ask(1)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking += [together.ask(n) for n in range(2, 7)]
    await asyncio.sleep(0)
    assert server.calls == [[1]]
    server.go_on.set()
    assert await asyncio.gather(*asking) == [-1, -2, -3, -4, -5, -6]
    assert server.calls == [[1], [2, 3, 4], [5, 6]]
    assert await together.ask(7) == -7


async def test_a_call_that_fails_fails_those_who_share_it_and_nobody_else() -> None:
    server = Server()
    server.go_on.set()
    together = Together(server.answer, lanes=1, most=2, patience=60)
    answers = await asyncio.gather(
        *(together.ask(n) for n in (1, 13, 2, 3)), return_exceptions=True
    )
    assert [str(answer) for answer in answers] == ["thirteen", "thirteen", "-2", "-3"]


async def test_who_leaves_is_not_asked_for_and_disturbs_nobody() -> None:
    server = Server()
    together = Together(server.answer, lanes=1, most=10, patience=60)
    asking = [together.ask(n) for n in range(3)]
    await asyncio.sleep(0)
    asking[1].cancel()
    server.go_on.set()
    assert [await asking[0], await asking[2]] == [0, -2]
    with pytest.raises(asyncio.CancelledError):
        await asking[1]


async def test_who_waits_too_long_is_told_so_and_later_ones_are_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, clock = Server(), LoopClock(monkeypatch)
    together = Together(server.answer, lanes=1, most=10, patience=60, late=ConnectionError)
    for number in (1, 2):
        asked = together.ask(number)
        await asyncio.sleep(0)
        clock.forward(60)
        with pytest.raises(ConnectionError, match="no answer within 60 s"):
            await asked
    server.go_on.set()
    await asyncio.sleep(0)
    assert await together.ask(3) == -3
    assert server.calls == [[1], [3]], "nobody waits for the answer to 2 any more"


async def test_a_call_that_is_given_up_or_answers_too_little_takes_no_lane_along() -> None:
    async def call(questions: Sequence[int]) -> list[int]:
        if questions[0] == 1:
            raise asyncio.CancelledError
        return [] if questions[0] == 2 else [-one for one in questions]

    together = Together(call, lanes=1, most=1, patience=60)
    with pytest.raises(TimeoutError, match="given up"):
        await together.ask(1)
    with pytest.raises(ValueError, match="shorter"):
        await together.ask(2)
    assert await together.ask(3) == -3
