"""Day boundaries of UUIDv7 ranges."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from services.contracts.ids import new_id
from services.shared.postgres.partitions import PartitionedTable, bounds, id_time, lower_bound

TABLE = PartitionedTable("outbox_events")


def test_an_id_made_now_lies_within_today_and_tells_its_time() -> None:
    event_id = new_id()
    made = id_time(event_id)
    assert abs(made - datetime.now(UTC)) < timedelta(minutes=1)
    low, high = bounds(made.date())
    assert low <= event_id < high


def test_days_adjoin_without_a_gap() -> None:
    day = date(2026, 12, 31)
    assert bounds(day)[1] == bounds(day + timedelta(days=1))[0]
    assert id_time(lower_bound(day)) == datetime(2026, 12, 31, tzinfo=UTC)


def test_a_partition_is_named_for_its_day_and_the_day_is_read_back() -> None:
    name = TABLE.partition(date(2026, 11, 21))
    assert name == "outbox_events_20261121"
    assert TABLE.day_of(name) == date(2026, 11, 21)


@pytest.mark.parametrize(
    "name", ["outbox_events_default", "outbox_events_20261399", "other_20261121", "outbox_events"]
)
def test_other_tables_have_no_day(name: str) -> None:
    assert TABLE.day_of(name) is None


def test_a_name_that_would_need_quoting_is_refused() -> None:
    with pytest.raises(ValueError, match="use lower-case letters"):
        PartitionedTable("outbox events; DROP")
