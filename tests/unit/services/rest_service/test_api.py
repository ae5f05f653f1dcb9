"""Rules of the REST service that need no server."""

from datetime import UTC, datetime

import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from services.rest_service import repository
from services.rest_service.models import Resource, ResourceInput, Status


def test_a_resource_input_has_defaults_and_nothing_extra() -> None:
    given = ResourceInput.model_validate({"name": "a"})
    assert (given.description, given.status) == (None, Status.ACTIVE)
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        ResourceInput.model_validate({"name": "a", "version": 3})


@pytest.mark.parametrize("name", ["", "x" * 256, "a\0b", "\ud800", 1, None])
def test_a_name_that_postgres_would_refuse_is_refused_before(name: object) -> None:
    with pytest.raises(ValidationError):
        ResourceInput.model_validate({"name": name})


def test_statuses_fit_their_column_and_deleted_is_for_events_only() -> None:
    assert "deleted" not in list(Status)
    assert all(len(status) <= 50 for status in Status)


def test_a_cached_resource_comes_back_the_same() -> None:
    now = datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=UTC)
    resource = Resource(
        id="01a1fb67-1800-7000-8000-000000000000",
        name="🌊",
        description=None,
        status=Status.ACTIVE,
        version=7,
        created_at=now,
        updated_at=now,
    )
    text = resource.model_dump_json()
    assert '"created_at":"2026-11-21T01:02:03.456789Z"' in text
    assert Resource.model_validate_json(text) == resource


@pytest.mark.parametrize("statement", ["_CREATE", "_CREATE_ONCE", "_UPDATE", "_DELETE"])
def test_a_write_changes_then_records_then_notifies_in_one_statement(statement: str) -> None:
    sql: str = getattr(repository, statement)
    assert ";" not in sql
    change, record, notify = (sql.index(part) for part in (" r AS (", "e AS (", "n AS (SELECT"))
    assert change < record < notify
    # The event is made from what the locked row returned, never from the table or the request.
    assert "r.id, r.version" in sql[record:notify]
    assert "FROM r" in sql[record:notify]


def test_importing_the_application_does_no_work() -> None:
    import services.rest_service.__main__ as entry  # noqa: PLC0415

    assert not any(isinstance(value, FastAPI) for value in vars(entry).values())
