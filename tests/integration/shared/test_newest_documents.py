"""Pages of documents, newest first, on a real server: bound in number and in bytes."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.shared.documents.newest import MOST_BYTES, Newest, statement
from services.shared.postgres.database import Database
from tests.integration.authority import PATIENCE
from tests.integration.conftest import MakeDatabase

BOUND = 10_000
OVERHEAD = len('{"items":[],"next_cursor":""}') + 200

# Three at a time, as those of a batch are.
_FILL = """
    INSERT INTO {} (id, document, created_at{})
    SELECT id, jsonb_build_object('id', id, 'text', repeat('ü', size / 2)),
           timestamptz '2026-11-22' + place / 3 * interval '1 second'{}
    FROM unnest($1::text[], $2::int[]) WITH ORDINALITY AS given (id, size, place)"""
FILL = {
    "documents": _FILL.format("documents", ", entry_ms, entry_seq", ", 1, place"),
    "synchronous_documents": _FILL.format("synchronous_documents", "", ""),
}


@pytest.fixture(params=list(FILL))
def table(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def database(make_database: MakeDatabase) -> AsyncIterator[Database]:
    settings = await make_database("datadb")
    # Megabytes are packed and unpacked in one statement.
    database = Database(
        settings,
        CollectorRegistry(),
        application_name="test",
        connect_timeout=PATIENCE,
        acquire_timeout=30.0,
        command_timeout=30.0,
    )
    await database.open()
    yield database
    await database.close()


async def fill(database: Database, table: str, sizes: list[int]) -> list[str]:
    """Store a text of each size; the ids, newest first."""
    ids = [f"d{n:04}" for n in range(len(sizes))]
    await database.fetch(FILL[table], ids, sizes)
    rows = await database.fetch(f"SELECT id FROM {table} ORDER BY created_at DESC, id DESC")
    return [row["id"] for row in rows]


async def walk(pages: Newest, limit: int) -> list[list[Any]]:
    """The documents of every page."""
    seen: list[list[Any]] = []
    cursor: str | None = None
    while cursor is not None or not seen:
        body = await pages.page(cursor, limit)
        page = json.loads(body)
        if len(page["items"]) > 1:
            assert len(body) <= BOUND + OVERHEAD
        assert len(page["items"]) <= limit
        seen.append(page["items"])
        cursor = page["next_cursor"]
    return seen


SIZES = {
    "none": [],
    "small ones": [20] * 60,
    "large ones": [4_000] * 17,
    "each above the bound": [15_000] * 3,
    "one above the bound at the beginning": [100] * 5 + [50_000],
    "one above the bound at the end": [50_000] + [100] * 5,
    "all sizes": [2 ** (n % 17) for n in range(100)],
}


async def test_whoever_walks_sees_every_document_once_and_no_page_above_the_bound(
    database: Database, table: str
) -> None:
    pages = Newest(database, table, BOUND)
    for what, sizes in SIZES.items():
        await database.fetch(f"TRUNCATE {table}")
        ids = await fill(database, table, sizes)
        for limit in (1, 7, 200):
            seen = await walk(pages, limit)
            assert [item["id"] for page in seen for item in page] == ids, (what, limit)
            assert all(seen) or not ids, (what, limit)


async def test_a_page_is_as_full_as_number_and_bytes_allow(database: Database, table: str) -> None:
    await fill(database, table, [100] * 9 + [3_000] * 7 + [20_000])
    pages = Newest(database, table, BOUND)
    assert [len(page) for page in await walk(pages, 5)] == [1, 3, 3, 5, 5]
    exact = len(json.dumps({"id": "d0000", "text": "ü" * 50}, ensure_ascii=False).encode())
    await database.fetch(f"TRUNCATE {table}")
    await fill(database, table, [100] * 9)
    for room, counts in ((3 * exact, [3, 3, 3]), (3 * exact - 1, [2, 2, 2, 2, 1])):
        assert [len(p) for p in await walk(Newest(database, table, room), 200)] == counts


async def test_the_server_unpacks_no_more_than_the_page_and_one_document(
    database: Database, table: str
) -> None:
    await fill(database, table, [900_000] * 20)
    asked = statement(table).replace("$1", "'2027-01-01'").replace("$2", "''")
    asked = asked.replace("$3", "200").replace("$4", str(MOST_BYTES))
    rows = await database.fetch(f"EXPLAIN (ANALYZE, TIMING off, FORMAT json) {asked}")
    [scan] = _nodes(json.loads(rows[0][0])[0]["Plan"], "Index Scan")
    read = scan["Actual Rows"] * scan["Actual Loops"]
    assert read == MOST_BYTES // 900_000 + 1


async def test_a_prepared_page_starts_in_the_index_where_it_does(
    database: Database, table: str
) -> None:
    async with database.connection() as connection:
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        await connection.execute("SET enable_seqscan = off")
        await connection.execute(f"PREPARE page AS {statement(table)}")
        rows = await connection.fetch("EXPLAIN (FORMAT json) EXECUTE page (now(), 'a', 10, 1000)")
    [scan] = _nodes(json.loads(rows[0][0])[0]["Plan"], "Index Scan")
    assert scan["Index Name"] == f"{table}_created"
    assert scan["Index Cond"].startswith("(ROW(created_at, id) < ROW(")


def _nodes(plan: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    inner = [node for part in plan.get("Plans", []) for node in _nodes(part, kind)]
    return [plan, *inner] if plan["Node Type"] == kind else inner
