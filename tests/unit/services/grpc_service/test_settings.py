"""Which settings of tasks go together."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.grpc_service.settings import TaskRetentionSettings, TaskSettings


def test_the_defaults_go_together() -> None:
    settings = TaskSettings()
    assert settings.time_limit_seconds < settings.lease_seconds
    assert settings.concurrency >= 1


def test_the_first_pause_is_no_longer_than_the_longest() -> None:
    with pytest.raises(ValidationError, match="lower the one or raise the other"):
        TaskSettings(retry_first_seconds=10, retry_most_seconds=9)


def test_a_page_of_the_services_choice_is_one_that_it_allows() -> None:
    with pytest.raises(ValidationError, match="lower the one or raise the other"):
        TaskSettings(page_size=51, page_most=50)


def test_tasks_are_kept_for_as_long_as_their_events_can_come_again() -> None:
    assert TaskRetentionSettings(kafka_retention_hours=168).days == 15
    assert TaskRetentionSettings(kafka_retention_hours=1, tasks_retention_days=9).days == 9
    with pytest.raises(ValidationError, match="say 15 or more"):
        TaskRetentionSettings(kafka_retention_hours=168, tasks_retention_days=14)
