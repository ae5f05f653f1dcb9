"""What is done again and again goes on after a failure."""

from __future__ import annotations

import asyncio

import structlog

from services.shared.runtime.rounds import keep_doing


async def test_a_round_that_fails_is_followed_by_the_next_and_logged_once_until_one_works() -> None:
    rounds: list[bool] = []
    enough = asyncio.Event()

    async def one_round() -> None:
        works = len(rounds) in (3, 4)
        rounds.append(works)
        if len(rounds) == 6:
            enough.set()
        if not works:
            raise OSError("away")

    with structlog.testing.capture_logs() as lines:
        doing = asyncio.create_task(keep_doing(one_round, every=0, trouble="away"))
        await enough.wait()
        await asyncio.sleep(0)
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
    assert [(line["event"], line.get("error")) for line in lines] == [
        ("away", "OSError: away"),
        ("away_no_more", None),
        ("away", "OSError: away"),
    ]
