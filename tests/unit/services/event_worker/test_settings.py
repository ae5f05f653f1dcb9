"""The worker's settings, and what they have to do with Kafka's."""

from __future__ import annotations

import pytest

from services.event_worker.settings import RetentionSettings
from services.shared.runtime.settings import SettingsError, load

HOURS, DAYS = "KAFKA_RETENTION_HOURS", "WORKER_RETENTION_DAYS"


@pytest.mark.parametrize(("hours", "days"), [("168", 15), ("1", 9), ("169", 16), ("720", 38)])
def test_events_are_remembered_for_longer_than_kafka_keeps_their_segments(
    monkeypatch: pytest.MonkeyPatch, hours: str, days: int
) -> None:
    monkeypatch.setenv(HOURS, hours)
    assert load(RetentionSettings).days == days
    monkeypatch.setenv(DAYS, str(days))
    assert load(RetentionSettings).days == days
    monkeypatch.setenv(DAYS, "400")
    assert load(RetentionSettings).days == 400


def test_a_memory_shorter_than_kafkas_is_refused_and_both_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(HOURS, "240")
    monkeypatch.setenv(DAYS, "17")
    with pytest.raises(SettingsError, match=rf"{DAYS}: .*{HOURS}=240 .* say 18 or more"):
        load(RetentionSettings)


def test_each_of_the_two_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOURS, "0")
    monkeypatch.setenv(DAYS, "many")
    with pytest.raises(SettingsError) as found:
        load(RetentionSettings)
    assert [line.split(":")[0] for line in str(found.value).splitlines()] == [HOURS, DAYS]
