"""When a client counts as standing still."""

from __future__ import annotations

import pytest

from services.shared.kafka.stall import Places, StalledError, StallWatch

HERE, THERE = ("resource.created", 0), ("resource.created", 1)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> StallWatch:
    return StallWatch(60, clock)


def looks(watch: StallWatch, clock: Clock, *found: Places) -> None:
    for places in found:
        clock.now += 60
        watch.look(lambda places=places: places)


def test_the_same_unread_place_twice_is_a_stall(watch: StallWatch, clock: Clock) -> None:
    with pytest.raises(StalledError, match=r"resource\.created-1 at 7"):
        looks(watch, clock, {HERE: 3, THERE: 7}, {HERE: 5, THERE: 7})


def test_who_moves_on_or_has_read_everything_is_not_stalled(
    watch: StallWatch, clock: Clock
) -> None:
    looks(watch, clock, {HERE: 3}, {HERE: 4}, {}, {HERE: 4}, {THERE: 4})


def test_a_place_at_which_a_new_client_stands_still_too_is_a_reason_once(
    watch: StallWatch, clock: Clock
) -> None:
    with pytest.raises(StalledError):
        looks(watch, clock, {HERE: 3}, {HERE: 3})
    looks(watch, clock, {HERE: 3}, {HERE: 3}, {HERE: 3})
    with pytest.raises(StalledError):
        looks(watch, clock, {HERE: 9}, {HERE: 9})


def test_the_broker_is_not_asked_before_it_is_time(watch: StallWatch, clock: Clock) -> None:
    def ask() -> Places:
        raise AssertionError

    clock.now = 59
    watch.look(ask)
