"""How much the next transaction takes after failures and successes."""

from __future__ import annotations

from services.event_worker.sizing import FittingSize


def test_what_fails_is_halved_until_it_is_one() -> None:
    size = FittingSize(500)
    tried: list[int] = []
    for _ in range(11):
        tried.append(size.now)
        size.failed(size.now)
    assert tried == [500, 250, 125, 62, 31, 15, 7, 3, 1, 1, 1]


def test_less_than_the_size_that_fails_is_halved_all_the_same() -> None:
    size = FittingSize(500)
    size.failed(9)
    assert size.now == 4


def test_a_few_successes_bring_the_size_back_and_no_further() -> None:
    size = FittingSize(500)
    for _ in range(9):
        size.failed(size.now)
    for _ in range(9):
        size.succeeded()
    assert size.now == 500
