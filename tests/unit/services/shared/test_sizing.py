"""How much the next transaction takes after failures and successes."""

from __future__ import annotations

from services.shared.runtime.sizing import FittingSize


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


def test_successes_in_a_row_bring_the_size_back_and_no_further() -> None:
    size = FittingSize(500)
    for _ in range(9):
        size.failed(size.now)
    for _ in range(40):
        size.succeeded()
    assert size.now == 500


def test_too_much_is_not_tried_every_other_time() -> None:
    size, failures = FittingSize(500), 0
    for _ in range(100):
        if size.now > 60:
            failures += 1
            size.failed(size.now)
        else:
            size.succeeded()
    assert failures <= 24
