"""Versions, by a clock of the test."""

from services.contracts.telemetry import MAX_VERSION
from services.ingest_service.telemetry.versions import BITS, Versions


class Clock:
    now = 1_763_845_200_000_000_000

    def __call__(self) -> int:
        return self.now


def test_they_grow_also_when_the_clock_stands_still_or_is_set_back() -> None:
    clock = Clock()
    versions = Versions(clock, process=5)
    made = [*versions.take(3), *versions.take(1)]
    clock.now -= 3600 * 10**9
    made += versions.take(500)
    clock.now += 7200 * 10**9
    made += versions.take(2)
    assert made == sorted(set(made))
    assert {one & (1 << BITS) - 1 for one in made} == {5}
    assert made[-2] >> BITS == clock.now // 1000


def test_of_two_processes_the_later_one_by_the_clock_is_the_newer() -> None:
    clock = Clock()
    first, second = Versions(clock, process=1023), Versions(clock, process=0)
    [before] = first.take(1)
    clock.now += 1000
    [after] = second.take(1)
    assert after > before


def test_processes_rarely_make_the_same() -> None:
    clock = Clock()
    assert len({next(Versions(clock).take(1)) for _ in range(50)}) > 25


def test_they_fit_into_the_column_until_the_year_2255() -> None:
    clock = Clock()
    clock.now = 9_000_000_000 * 10**9  # March 2255
    [last] = Versions(clock, process=1023).take(1)
    assert last <= MAX_VERSION
