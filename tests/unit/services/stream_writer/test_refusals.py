"""Which entries of a batch are refused, and what is stored all the same."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import pytest

from services.stream_writer.entries import Entry, Versions, by_document
from services.stream_writer.refusals import RefusedError, store_or_refuse
from services.stream_writer.store import is_refusal


class Database:
    """Refuses every transaction that holds a document called bad."""

    def __init__(self) -> None:
        self.stored: list[Entry] = []
        self.tries = 0

    async def store(self, entries: Sequence[Entry]) -> None:
        self.tries += 1
        if any(entry.document == "bad" for entry in entries):
            raise RefusedError("not like this")
        self.stored += entries


def documents(*bad: int, count: int = 64) -> list[Versions]:
    return by_document(
        Entry(f"{n}-0", f"{n:03}", "bad" if n in bad else "good", (n, 0)) for n in range(count)
    )


@pytest.mark.parametrize("bad", [(), (0,), (63,), (31, 32), (5, 6, 7, 60), tuple(range(64))])
async def test_what_is_refused_is_found_and_all_else_is_stored_once(bad: tuple[int, ...]):
    database = Database()
    refused = await store_or_refuse(documents(*bad), database.store)
    assert {one.entry.version[0] for one in refused} == set(bad)
    assert sorted(one.version[0] for one in database.stored) == sorted(set(range(64)) - set(bad))
    assert all(one.reason == "refused by the database: not like this" for one in refused)


async def test_one_refused_entry_costs_two_tries_for_each_halving():
    database = Database()
    await store_or_refuse(documents(17), database.store)
    assert database.tries == 1 + 2 * 6


async def test_when_the_newest_entry_is_refused_the_one_before_it_is_stored():
    database = Database()
    batch = by_document(
        Entry(f"{n}-0", "a", text, (n, 0)) for n, text in enumerate(("old", "good", "bad", "bad"))
    )
    refused = await store_or_refuse(batch, database.store)
    assert [one.entry.key for one in refused] == ["3-0", "2-0"]
    assert [one.document for one in database.stored] == ["good"]


async def test_nothing_is_refused_when_the_database_is_away():
    async def away(_entries: Sequence[Entry]) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await store_or_refuse(documents(1), away)


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (asyncpg.UntranslatableCharacterError("\\u0000 cannot be converted to text"), True),
        (asyncpg.InvalidTextRepresentationError("invalid input syntax for type json"), True),
        (asyncpg.ProgramLimitExceededError("index row size exceeds"), True),
        (asyncpg.StatementTooComplexError("stack depth limit exceeded"), True),
        (asyncpg.DataError("invalid input for query argument"), True),
        (asyncpg.DeadlockDetectedError("deadlock"), False),
        (asyncpg.UndefinedTableError("documents"), False),
        (asyncpg.DiskFullError("no space"), False),
        (asyncpg.InterfaceError("connection is closed"), False),
        (TimeoutError(), False),
    ],
)
def test_data_is_blamed_only_where_the_database_blames_it(error: Exception, refusal: bool):
    assert is_refusal(error) is refusal
