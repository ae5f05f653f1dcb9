"""The revisions of the database of tasks."""

from __future__ import annotations

import pytest

from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.migrate.test_migrations import CATALOGUE, rows


@pytest.mark.usefixtures("no_midnight")  # there are tables of days
async def test_up_down_up_ends_in_the_same_schema(taskdb: DatabaseSettings) -> None:
    whose = ("taskdb", "grpc_service", taskdb, ENGINES["postgres"])
    first = await rows(taskdb, CATALOGUE)
    assert {"tasks_change", "task_resources_due", "outbox_events_unsent", "inbox_held_age"} <= {
        row["name"] for row in first
    }
    await migrate(*whose, to="base")
    left = await rows(
        taskdb, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    )
    assert {row["relname"] for row in left} <= {"alembic_version", "alembic_version_pkc"}
    await migrate(*whose)
    assert await rows(taskdb, CATALOGUE) == first
