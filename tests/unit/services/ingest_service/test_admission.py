"""The gate, by a clock of the test."""

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from services.ingest_service.admission import STALE_SECONDS, Gate, Level, Water
from services.ingest_service.metrics import IngestMetrics
from services.ingest_service.settings import IngestSettings


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def gate(clock: Clock, registry: CollectorRegistry | None = None) -> Gate:
    settings = IngestSettings(low_water=10, high_water=20, max_queue=30, memory_bytes=1000)
    return Gate(settings, IngestMetrics(registry or CollectorRegistry()), clock)


def test_between_the_marks_a_level_stays_what_it_was() -> None:
    water = Water(10, 20)
    seen = [water.over(level) for level in (0, 19, 20, 15, 10, 9, 15, 19, 25, 9)]
    assert seen == [False, False, True, True, True, False, False, False, True, False]


def test_the_gate_is_closed_until_it_knows_and_when_it_does_not_know_any_more() -> None:
    clock = Clock()
    it = gate(clock)
    assert it.closed_for == "unknown"
    it.look(Level(0, 0))
    assert it.closed_for is None
    clock.now += STALE_SECONDS
    assert it.closed_for is None
    clock.now += 0.01
    assert it.closed_for == "unknown"
    it.look(Level(0, 0))
    assert it.closed_for is None


def test_the_gate_closes_at_the_high_marks_and_opens_below_the_low_ones() -> None:
    registry = CollectorRegistry()
    it = gate(Clock(), registry)
    seen: list[str | None] = []
    for level in (Level(19, 849), Level(20, 0), Level(10, 0), Level(9, 850), Level(0, 750),
                  Level(20, 750), Level(9, 749), Level(9, 0)):  # fmt: skip
        it.look(level)
        seen.append(it.closed_for)
    assert seen == [None, "queue", "queue", "memory", "memory", "queue", None, None]
    it.look(Level(20, 0))
    closed = {
        reason: registry.get_sample_value("ingest_admission_closed", {"reason": reason})
        for reason in ("queue", "memory", "unknown")
    }
    assert closed == {"queue": 1, "memory": 0, "unknown": 0}


def test_memory_that_nobody_gave_a_size_is_not_watched() -> None:
    it = Gate(IngestSettings(), IngestMetrics(CollectorRegistry()), Clock())
    it.look(Level(0, 2**60))
    assert it.closed_for is None


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"high_water": 100_000}, "INGEST_LOW_WATER=100000"),
        ({"max_queue": 150_000}, "INGEST_HIGH_WATER=150000"),
        ({"memory_high_percent": 75}, "INGEST_MEMORY_LOW_PERCENT=75"),
    ],
)
def test_marks_in_the_wrong_order_are_refused(values: dict[str, int], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        IngestSettings.model_validate(values)
