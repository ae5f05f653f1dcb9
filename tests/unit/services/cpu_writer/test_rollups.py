from __future__ import annotations

from datetime import datetime

from services.cpu_writer.rollups import moment, roll_up
from services.cpu_writer.store import upsert
from tests.unit.services.cpu_writer.made import BEGIN, SECOND, Sent, parsed


def test_rollups_are_in_the_order_of_the_tables_key() -> None:
    first = parsed([Sent(0, "b"), Sent(0, "a-1", metric="y"), Sent(0, "a", metric="z")]).points
    second = parsed([Sent(11, "a-1", metric="x"), Sent(12, "b"), Sent(13, "a", metric="z")]).points
    rollups = roll_up([(BEGIN, [first]), (BEGIN + 10 * SECOND, [second])])
    keys = [row[:3] for row in rollups.rows(0, 100)]
    assert keys == sorted(keys)
    assert len(keys) == 6


def test_a_key_counts_once_with_its_newest_value_however_often_it_came() -> None:
    parts = [
        parsed([Sent(1, value=5.0, version=2), Sent(2, value=1.0)]).points,
        parsed([Sent(1, value=7.0, version=3), Sent(1, value=6.0, version=1)], 2).points,
    ]
    for order in (parts, parts[::-1]):
        [row] = roll_up([(BEGIN, order)]).rows(0, 1)
        assert row[3:6] == (2, 1.0, 7.0)


def test_parts_hold_all_rows_in_their_order() -> None:
    rollups = roll_up([(BEGIN, [parsed([Sent(0, f"d-{n}") for n in range(23)]).points])])
    parts = list(rollups.parts(10))
    assert [len(part) for part in parts] == [10, 10, 3]
    assert [row for part in parts for row in part] == rollups.rows(0, 23)


def test_a_time_is_given_without_a_zone_to_the_microsecond() -> None:
    assert moment(BEGIN + 1) == datetime(2026, 1, 1, microsecond=1)
    assert moment(0) == datetime(1970, 1, 1)


def test_many_rollups_are_one_statement_that_decides_by_the_count_last() -> None:
    statement = upsert(3)
    assert statement.count("INSERT") == 1
    assert statement.count("%s") == 33
    assert "VALUES(" not in statement
    taken = statement.partition("ON DUPLICATE KEY UPDATE ")[2].split("), ")
    assert len(taken) == 7
    assert taken[-1].startswith("points = IF(fresh.points >= telemetry_rollups.points")
