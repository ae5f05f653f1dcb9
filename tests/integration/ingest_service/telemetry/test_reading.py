"""Points and rollups out of a real MySQL, page by page."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ingest_service.telemetry.endpoints import PATH, ROLLUPS_PATH
from tests.integration.authority import eventually
from tests.integration.ingest_service.telemetry.conftest import (
    Databases,
    MakeTelemetry,
    Telemetry,
)
from tests.integration.servers import MySQLServer

START = datetime(2026, 11, 22, 21, 0, 0, 0, UTC)


def at(seconds: float) -> str:
    """As answers have it."""
    moment = START + timedelta(seconds=seconds)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def stored(seconds: float) -> str:
    return at(seconds)[:-1].replace("T", " ")


async def fill(databases: Databases) -> None:
    """30 points each of two metrics of device a, one of b; the source has one more."""
    rows = [
        ("a", metric, stored(n), n + 0.5, 7) for metric in ("flow", "pressure") for n in range(30)
    ] + [("b", "flow", stored(0), -0.0, 7)]
    text = ", ".join(str(row) for row in rows)
    for database in (databases.source, databases.copies):
        await databases.server.as_admin(f"INSERT INTO telemetry VALUES {text}", database.name)
    await databases.fill(databases.source, "telemetry", ("a", "zeta", stored(0), 1e308, 2**63))


async def pages(telemetry: Telemetry, path: str = PATH, **query: Any) -> list[list[Any]]:
    """All of them, until there is no cursor."""
    found: list[list[Any]] = []
    while True:
        page = await telemetry.page(path, **query)
        found.append(page["items"])
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]
        assert len(found) < 1000


async def test_pages_have_each_point_once_by_metric_then_time(
    reading: Telemetry, databases: Databases
) -> None:
    await fill(databases)
    everything = [
        {"device_id": "a", "metric": metric, "ts": at(n), "value": n + 0.5}
        for metric in ("flow", "pressure")
        for n in range(30)
    ]
    for limit in (1, 7, 29, 30, 31, 59, 60, 61, 200):
        found = await pages(reading, device_id="a", limit=limit)
        assert [item for page in found for item in page] == everything
        assert all(len(page) == limit for page in found[:-1])
        assert found[-1], "no page is empty"
    assert (await reading.page(device_id="b"))["items"] == [
        {"device_id": "b", "metric": "flow", "ts": at(0), "value": -0.0}
    ]
    for nobody in ("c", "A", "a-"):
        assert await reading.page(device_id=nobody) == {"items": [], "next_cursor": None}
    assert len((await reading.page(device_id="a"))["items"]) == 50


async def test_from_is_included_and_to_is_not_in_whatever_offset(
    reading: Telemetry, databases: Databases
) -> None:
    await fill(databases)
    query: dict[str, Any] = {"device_id": "a", "from": at(3), "to": "2026-11-22T22:30:05+01:30"}
    found = await pages(reading, **query, limit=3)
    assert [(item["metric"], item["ts"]) for page in found for item in page] == [
        (metric, at(n)) for metric in ("flow", "pressure") for n in (3, 4)
    ]
    one = await reading.page(**query, metric="pressure")
    assert [item["ts"] for item in one["items"]] == [at(3), at(4)]
    assert (await reading.page(**query | {"to": at(3)}))["items"] == []
    fine = await reading.page(device_id="a", metric="flow", to=at(0.000001))
    assert [item["ts"] for item in fine["items"]] == [at(0)]
    everything = {"from": "0001-01-01T00:00:00+23:59", "to": "9999-12-31T23:59:59.999999-23:59"}
    assert len((await reading.page(device_id="b", **everything))["items"]) == 1


async def test_a_device_of_many_metrics_that_have_nothing_of_the_time_is_looked_through_in_parts(
    reading: Telemetry, databases: Databases
) -> None:
    rows = [("many", f"m{n:03}", stored(60 if n % 60 == 59 else 0), n, 1) for n in range(120)]
    await databases.server.as_admin(
        f"INSERT INTO telemetry VALUES {', '.join(map(str, rows))}", databases.copies.name
    )
    found = await pages(reading, **{"device_id": "many", "from": at(30)})
    assert [item["metric"] for page in found for item in page] == ["m059", "m119"]
    assert len(found) == 3


async def test_strong_reads_see_the_source_and_others_the_copies(
    reading: Telemetry, databases: Databases
) -> None:
    await fill(databases)
    newest = [{"device_id": "a", "metric": "zeta", "ts": at(0), "value": 1e308}]
    query = {"device_id": "a", "metric": "zeta"}
    assert (await reading.page(**query))["items"] == []
    assert (await reading.page(**query, consistency="eventual"))["items"] == []
    assert (await reading.page(**query, consistency="strong"))["items"] == newest
    last = await reading.page(device_id="a", consistency="strong", limit=60)
    assert last["next_cursor"] is not None
    rest = await reading.page(device_id="a", consistency="strong", cursor=last["next_cursor"])
    assert rest == {"items": newest, "next_cursor": None}


async def test_every_statement_of_a_strong_read_says_that_it_is_for_the_writer(
    reading: Telemetry, databases: Databases
) -> None:
    await fill(databases)
    server = databases.server
    since = "FROM performance_schema.events_statements_history_long WHERE sql_text LIKE"
    await server.as_admin("UPDATE performance_schema.setup_consumers SET enabled = 'YES'")
    await server.as_admin("TRUNCATE performance_schema.events_statements_history_long")
    for consistency in ("strong", "eventual"):
        await reading.page(device_id="a", consistency=consistency)
    rows: list[dict[str, Any]] = []

    async def noted() -> bool:
        # The server notes a statement after it has answered it.
        rows[:] = await server.as_admin(
            f"SELECT current_schema AS name, sql_text {since} 'SELECT%FROM telemetry %'"
        )
        return {row["name"] for row in rows} == {databases.source.name, databases.copies.name}

    await eventually(noted)
    for row in rows:
        strong = row["name"] == databases.source.name
        assert row["sql_text"].startswith("SELECT /* writer */ ") == strong, row


async def test_rollups_are_paged_by_metric_start_and_length(
    reading: Telemetry, databases: Databases
) -> None:
    rows = [
        ("a", metric, stored(60 * n), seconds, 3, 1.0, 3.0, 2.0, 2.0, 2.9, 0.6745)
        for metric in ("flow", "pressure")
        for n in range(5)
        for seconds in (60, 300)
    ]
    await databases.server.as_admin(
        f"INSERT INTO telemetry_rollups VALUES {', '.join(map(str, rows))}", databases.copies.name
    )
    for limit in (1, 3, 10, 200):
        found = await pages(reading, ROLLUPS_PATH, device_id="a", limit=limit)
        items = [item for page in found for item in page]
        assert [(i["metric"], i["window_start"], i["window_seconds"]) for i in items] == [
            (row[1], row[2].replace(" ", "T") + "Z", row[3]) for row in rows
        ]
    assert items[0] == {
        "device_id": "a", "metric": "flow", "window_start": at(0), "window_seconds": 60,
        "points": 3, "minimum": 1.0, "maximum": 3.0, "mean": 2.0, "p50": 2.0, "p95": 2.9,
        "anomaly_score": 0.6745,
    }  # fmt: skip
    query: dict[str, Any] = {"device_id": "a", "metric": "flow", "from": at(60), "to": at(180)}
    found = await pages(reading, ROLLUPS_PATH, **query, limit=1)
    assert [item["window_start"] for [item] in found] == [at(60), at(60), at(120), at(120)]


async def test_a_page_costs_what_is_on_it_wherever_it_lies(
    reading: Telemetry, databases: Databases
) -> None:
    """3 metrics of 4,000 points each; rows that the server looks at, by its own count."""
    name = databases.copies.name
    await databases.server.as_admin(
        "INSERT INTO telemetry WITH RECURSIVE n AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM n"
        " WHERE n < 999), m AS (SELECT 1 AS m UNION ALL SELECT m + 1 FROM m WHERE m < 3), k AS"
        " (SELECT 0 AS k UNION ALL SELECT k + 1 FROM k WHERE k < 3)"
        " SELECT 'big', CONCAT('m', m), TIMESTAMP('2026-11-22 21:00:00')"
        " + INTERVAL k * 1000 + n SECOND, n, 1 FROM n, m, k",
        name,
    )
    await databases.server.as_admin("ANALYZE TABLE telemetry", name)
    server = databases.server
    await server.as_admin("UPDATE performance_schema.setup_consumers SET enabled = 'YES'")
    # From the middle of m2 into m3, by a cursor of the page before, and with bounds of time.
    before = await reading.page(
        **{"device_id": "big", "metric": "m2", "from": at(3940), "limit": 10}
    )
    queries: list[dict[str, Any]] = [
        {"limit": 50},
        {"limit": 100, "cursor": before["next_cursor"]},
        {"limit": 50, "from": at(3990)},
        {"limit": 50, "from": at(2000), "to": at(2010)},
    ]
    for query in queries:
        await server.as_admin("TRUNCATE performance_schema.events_statements_history_long")
        page = await reading.page(device_id="big", **query)
        assert page["items"]
        assert await examined(server, name) <= len(page["items"]) + 20, query


async def examined(server: MySQLServer, database: str) -> int:
    """Rows that were looked at, once the server has noted it: after it has answered."""
    async with asyncio.timeout(60):
        while True:
            [row] = await server.as_admin(
                "SELECT CAST(SUM(rows_examined) AS SIGNED) AS rows_ FROM performance_schema"
                f".events_statements_history_long WHERE current_schema = '{database}'"
            )
            if row["rows_"] is not None:
                return row["rows_"]
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("path", [PATH, ROLLUPS_PATH])
@pytest.mark.parametrize(
    ("query", "field", "kind"),
    [
        ("", "query.device_id", "invalid-request"),
        ("device_id=", "query.device_id", "invalid-request"),
        ("device_id=%00", "query.device_id", "invalid-request"),
        ("device_id=" + "a" * 65, "query.device_id", "invalid-request"),
        ("device_id=a&metric=%C3%A9", "query.metric", "invalid-request"),
        ("device_id=a&limit=0", "query.limit", "invalid-request"),
        ("device_id=a&limit=201", "query.limit", "invalid-request"),
        ("device_id=a&offset=1", "query.offset", "invalid-request"),
        ("device_id=a&consistency=weak", "query.consistency", "invalid-request"),
        ("device_id=a&from=yesterday", "query.from", "bad-time"),
        ("device_id=a&from=1763845200", "query.from", "bad-time"),
        ("device_id=a&to=2026-11-22T21:00:00", "query.to", "bad-time"),
        ("device_id=a&to=2026-11-22T21:00:00+01:00", "query.to", "bad-time"),
        (
            "device_id=a&from=2026-11-22T21:00:01Z&to=2026-11-22T21:00:00Z",
            "query.from",
            "bad-range",
        ),
        ("device_id=a&cursor=abcd", "query.cursor", "bad-cursor"),
        ("device_id=a&cursor=", "query.cursor", "bad-cursor"),
    ],
)
async def test_a_bad_question_is_a_422_problem_that_names_the_parameter(
    make_telemetry: MakeTelemetry, path: str, query: str, field: str, kind: str
) -> None:
    telemetry = await make_telemetry()
    response = await telemetry.http.get(f"{path}?{query}")
    assert response.status_code == 422, response.text
    document = response.json()
    assert document["type"].endswith(f":{kind}")
    assert [error["field"] for error in document["errors"]] == [field]


@pytest.mark.usefixtures("patient")
async def test_who_reads_while_the_copies_are_away_is_told_so_and_the_source_is_left_alone(
    make_telemetry: MakeTelemetry, databases: Databases
) -> None:
    await fill(databases)
    telemetry = await make_telemetry(source=databases.source)
    response = await telemetry.http.get(PATH, params={"device_id": "a"})
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert "read-only copies of the telemetry database" in response.json()["detail"]
    assert len((await telemetry.page(device_id="a", consistency="strong"))["items"]) == 50
    other = await make_telemetry(copies=databases.copies)
    response = await other.http.get(PATH, params={"device_id": "a", "consistency": "strong"})
    assert response.status_code == 503
    assert response.json()["detail"].startswith("the telemetry database cannot be reached")
    assert len((await other.page(device_id="a"))["items"]) == 50


async def test_a_frozen_server_is_503_within_seconds(
    make_telemetry: MakeTelemetry, databases: Databases
) -> None:
    telemetry = await make_telemetry(source=databases.source, copies=databases.copies)

    async def status() -> int:
        return (await telemetry.http.get(PATH, params={"device_id": "a"})).status_code

    async def reads() -> bool:
        return await status() == 200

    # With the patience of the service itself, which a busy machine may need more than once.
    await eventually(reads)
    databases.server.container.pause()
    started = time.monotonic()
    assert set(await asyncio.gather(*(status() for _ in range(20)))) == {503}
    assert time.monotonic() - started < 40  # one after the other they would take minutes
    databases.server.container.unpause()
    await eventually(reads)
