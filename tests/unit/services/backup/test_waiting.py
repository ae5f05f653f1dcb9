"""Going back to a moment that the archiver has not reached yet."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from services.backup import archiver

JOB: Any = SimpleNamespace(spec=SimpleNamespace(archive=SimpleNamespace(interval_seconds=20)))


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        monkeypatch.setattr(archiver.time, "monotonic", lambda: self.seconds)
        monkeypatch.setattr(archiver.time, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_it_is_waited_for_until_the_archive_has_it(clock: Clock):
    moment = datetime.now(UTC) - timedelta(seconds=2)
    began = moment - timedelta(seconds=15)
    archiver.wait_until(JOB, moment, lambda: began + timedelta(seconds=clock.seconds))
    assert 15 <= clock.seconds < 17


def test_an_archiver_that_stands_still_is_not_waited_for_longer_than_it_may_take(clock: Clock):
    moment = datetime.now(UTC) - timedelta(seconds=2)
    archiver.wait_until(JOB, moment, lambda: moment - timedelta(hours=1))
    assert 60 <= clock.seconds < 62


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_what_is_there_and_what_has_not_happened_yet_are_not_waited_for(clock: Clock, ahead: int):
    moment = datetime.now(UTC) + timedelta(seconds=ahead)
    archiver.wait_until(JOB, moment, lambda: datetime.now(UTC) - timedelta(seconds=5))
    assert clock.seconds == 0


def test_an_archive_that_was_never_begun_is_not_waited_for(clock: Clock):
    archiver.wait_until(JOB, datetime.now(UTC), lambda: None)
    assert clock.seconds == 0
