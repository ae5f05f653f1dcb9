"""Which points of a batch are refused, and what is stored all the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from pymysql import err

from services.async_writer.points import Point, Versions, by_key
from services.async_writer.refusals import RefusedError, store_or_refuse
from services.async_writer.store import is_refusal

TS = datetime(2026, 1, 1, tzinfo=UTC)
BAD = 13.0


class Database:
    """Refuses every statement with a bad value."""

    def __init__(self) -> None:
        self.stored: list[Point] = []
        self.tries = 0

    async def store(self, points: Sequence[Point]) -> None:
        self.tries += 1
        if any(point.value == BAD for point in points):
            raise RefusedError("3819 not like this")
        self.stored += points


def keys(*bad: int, count: int = 500) -> list[Versions]:
    return by_key(
        Point((f"{n:03}", "m", TS), BAD if n in bad else 1.0, n, None) for n in range(count)
    )


@pytest.mark.parametrize("bad", [(), (0,), (499,), (249, 250), (5, 6, 7, 460), tuple(range(500))])
async def test_what_is_refused_is_found_and_all_else_is_stored_once(bad: tuple[int, ...]):
    database = Database()
    refused = await store_or_refuse(keys(*bad), database.store)
    assert [one.point.version for one in refused] == sorted(bad)
    assert [one.version for one in database.stored] == [n for n in range(500) if n not in bad]
    assert all(one.reason == "refused by the database: 3819 not like this" for one in refused)
    # All of them refused is the worst there is.
    assert database.tries <= 2 * 500 - 1


async def test_one_refused_point_costs_two_statements_for_each_halving():
    for place in (0, 17, 249, 250, 499):
        database = Database()
        await store_or_refuse(keys(place), database.store)
        assert database.tries <= 1 + 2 * 9


async def test_when_the_newest_point_is_refused_the_one_before_it_is_stored():
    database = Database()
    batch = by_key(
        Point(("a", "m", TS), value, n, None) for n, value in enumerate((1, 2, BAD, BAD))
    )
    refused = await store_or_refuse(batch, database.store)
    assert [one.point.version for one in refused] == [3, 2]
    assert [one.value for one in database.stored] == [2]


async def test_nothing_is_refused_when_the_database_is_away():
    async def away(_points: Sequence[Point]) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await store_or_refuse(keys(), away)


@pytest.mark.parametrize("code", [1048, 1062, 1264, 1292, 1366, 1406, 1452, 1644, 1690, 3819])
def test_errors_of_the_data_are_refusals(code: int):
    kind = err.error_map.get(code, err.OperationalError)
    assert is_refusal(kind(code, "the server's words"))


@pytest.mark.parametrize("code", [1040, 1045, 1053, 1064, 1142, 1146, 1153, 1205, 1213, 1290, 2013])
def test_errors_of_the_server_or_the_statement_are_not(code: int):
    kind = err.error_map.get(code, err.OperationalError)
    assert not is_refusal(kind(code, "the server's words"))


def test_errors_without_a_code_are_not():
    assert not is_refusal(err.InterfaceError("(0, '')"))
    assert not is_refusal(OSError())
