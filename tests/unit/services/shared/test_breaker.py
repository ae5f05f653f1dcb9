"""A breaker, by a clock of the test: when it lets calls through, and who looks."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from services.shared.runtime.breaker import Breaker, BreakerMetrics, OpenError
from services.shared.runtime.settings import BreakerSettings
from tests.unit.services.shared.limits_world import Clock

LONGEST = 1.25
"""Of its settings' second: it stays open for up to a quarter longer."""


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.registry = CollectorRegistry()
        self.breaker = Breaker(
            "it",
            BreakerSettings(failures=3, open_seconds=1),
            BreakerMetrics(self.registry),
            failures=(OSError,),
            clock=self.clock,
        )

    def metric(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"circuit_breaker_{name}", {"dependency": "it"})

    def succeed(self) -> None:
        with self.breaker.call():
            pass

    def fail(self, error: BaseException | None = None) -> None:
        error = error or ConnectionError()
        with pytest.raises(type(error)), self.breaker.call():
            raise error

    def open(self) -> None:
        for _ in range(3):
            self.fail()

    def is_open(self) -> bool:
        if not self.breaker.refuses:
            return False
        with pytest.raises(OpenError), self.breaker.call():
            raise AssertionError("it was called")
        return True


@pytest.fixture
def world() -> World:
    return World()


def test_it_opens_after_failures_in_a_row_and_not_after_as_many_with_one_success(
    world: World,
) -> None:
    assert world.metric("state") == 0
    world.fail()
    world.fail()
    world.succeed()
    world.fail()
    world.fail()
    assert not world.is_open()
    with capture_logs() as lines:
        world.fail()
        assert world.is_open()
    assert lines == [
        {
            "event": "circuit_opened",
            "log_level": "warning",
            "dependency": "it",
            "error": "ConnectionError",
        }
    ]
    assert (world.metric("state"), world.metric("opened_total")) == (2, 1)
    assert world.metric("refused_total") == 1


def test_what_is_no_failure_says_nothing(world: World) -> None:
    for _ in range(10):
        world.fail(ValueError())
        world.fail(asyncio.CancelledError())
    assert not world.is_open()
    world.fail()
    world.fail(asyncio.CancelledError())
    world.fail()
    world.fail(ValueError())
    world.fail()
    assert world.is_open()


def test_after_a_while_one_looks_and_closes_it(world: World) -> None:
    world.open()
    world.clock.now += 0.99
    assert world.is_open()
    world.clock.now += LONGEST - 0.99
    assert not world.breaker.refuses
    with capture_logs() as lines, world.breaker.call():
        assert world.metric("state") == 1
        assert world.is_open()  # for all others
    assert [line["event"] for line in lines] == ["circuit_closed"]
    assert (world.metric("state"), world.is_open()) == (0, False)
    world.fail()
    world.fail()
    assert not world.is_open()


def test_who_looks_in_vain_opens_it_for_another_while_and_that_is_one_outage(world: World) -> None:
    world.open()
    for _ in range(5):
        world.clock.now += LONGEST
        world.fail()
        assert world.is_open()
    assert (world.metric("state"), world.metric("opened_total")) == (2, 1)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), ValueError()], ids=repr)
def test_who_is_cancelled_while_it_looks_leaves_that_to_the_next(
    world: World, error: BaseException
) -> None:
    world.open()
    world.clock.now += LONGEST
    world.fail(error)
    assert world.metric("state") == 2
    world.succeed()
    assert world.metric("state") == 0


def test_how_a_call_ends_that_began_before_is_no_news(world: World) -> None:
    late, later = world.breaker.call(), world.breaker.call()
    late.__enter__()
    later.__enter__()
    world.open()
    late.__exit__(None, None, None)
    assert world.is_open()  # a success that was on its way when it went away
    world.clock.now += LONGEST
    with world.breaker.call():
        error = ConnectionError()
        assert not later.__exit__(type(error), error, None)
        assert world.metric("state") == 1
    assert not world.is_open()


def test_pods_do_not_look_at_one_moment() -> None:
    moments: set[float] = set()
    for _ in range(50):
        world = World()
        world.open()
        while world.is_open():
            world.clock.now += 0.01
        moments.add(round(world.clock.now, 2))
    assert 1000.99 <= min(moments) <= max(moments) <= 1001.27
    assert len(moments) > 5
