"""Resources over HTTP, and the events their writes leave in the outbox."""

import asyncio
import json
import time
import zlib
from typing import Any

import httpx
import pytest

from services.contracts.ids import is_uuid7
from services.contracts.topics import RESOURCE_CREATED, RESOURCE_DELETED, RESOURCE_UPDATED
from services.rest_service import repository
from services.shared.postgres.database import connect
from tests.integration.authority import PATIENCE
from tests.integration.rest_service.conftest import PATH, Rest
from tests.integration.servers import PostgresServer, eventually


async def test_a_created_resource_can_be_read_back(rest: Rest) -> None:
    response = await rest.http.post(
        PATH, json={"name": "Grüße 🌊", "description": "d" * 10_000, "status": "pending"}
    )
    assert response.status_code == 201
    created = response.json()
    assert is_uuid7(created["id"])
    assert response.headers["location"] == f"{PATH}/{created['id']}"
    assert response.headers["etag"] == '"1"'
    assert created["version"] == 1
    assert created["created_at"] == created["updated_at"]
    read = await rest.http.get(response.headers["location"])
    assert read.status_code == 200
    assert read.json() == created


async def test_every_write_leaves_exactly_one_event_of_its_type(rest: Rest) -> None:
    created = await rest.create(name="first", description="text")
    path = f"{PATH}/{created['id']}"
    updated = (await rest.http.put(path, json={"name": "second", "status": "archived"})).json()
    assert updated["version"] == 2
    assert updated["description"] is None
    assert updated["created_at"] == created["created_at"]
    assert (await rest.http.delete(path)).status_code == 204
    assert (await rest.http.get(path)).status_code == 404

    events = await rest.events(created["id"])
    assert [(e["event_type"], e["aggregate_version"]) for e in events] == [
        (RESOURCE_CREATED, 1),
        (RESOURCE_UPDATED, 2),
        (RESOURCE_DELETED, 3),
    ]
    without_version = [{k: r[k] for k in r if k != "version"} for r in (created, updated)]
    assert [json.loads(e["body"]) for e in events] == [
        *without_version,
        {"id": created["id"], "status": "deleted"},
    ]
    for event in events:
        assert is_uuid7(event["id"])
        assert event["lane"] == zlib.crc32(created["id"].encode()) % 64
        assert event["processed_at"] is None


async def test_events_carry_the_callers_trace_and_correlation_id(rest: Rest) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    response = await rest.http.post(
        PATH,
        json={"name": "x"},
        headers={
            "traceparent": f"00-{trace}-00f067aa0ba902b7-01",
            "x-correlation-id": "order-4711",
        },
    )
    assert response.headers["x-correlation-id"] == "order-4711"
    (event,) = await rest.events(response.json()["id"])
    assert event["correlation_id"] == "order-4711"
    version, trace_id, span_id, flags = event["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", trace, "01")
    assert span_id != "00f067aa0ba902b7"


@pytest.mark.usefixtures("no_midnight")  # between its id and its row
async def test_an_event_lies_in_the_partition_of_its_day(rest: Rest) -> None:
    await rest.create()
    (row,) = await rest.rows(
        "SELECT tableoid::regclass::text AS partition,"
        " 'outbox_events_' || to_char(created_at AT TIME ZONE 'UTC', 'YYYYMMDD') AS expected"
        " FROM outbox_events"
    )
    assert row["partition"] == row["expected"]


async def test_the_list_pages_through_everything_newest_first(rest: Rest) -> None:
    created = [(await rest.create(name=f"n{number}"))["id"] for number in range(7)]
    seen: list[str] = []
    parameters: dict[str, Any] = {"limit": 3}
    pages = 0
    while True:
        page = (await rest.http.get(PATH, params=parameters)).json()
        seen += [item["id"] for item in page["items"]]
        pages += 1
        if page["next_cursor"] is None:
            break
        parameters["cursor"] = page["next_cursor"]
    assert seen == created[::-1]
    assert pages == 3
    exactly = (await rest.http.get(PATH, params={"limit": 7})).json()
    assert exactly["next_cursor"] is None


async def test_if_match_protects_a_newer_version(rest: Rest) -> None:
    created = await rest.create()
    path = f"{PATH}/{created['id']}"
    first = await rest.http.put(path, json={"name": "b"}, headers={"if-match": '"1"'})
    assert (first.status_code, first.headers["etag"]) == (200, '"2"')
    for method, body in (("PUT", {"name": "c"}), ("DELETE", None)):
        stale = await rest.http.request(method, path, json=body, headers={"if-match": '"1"'})
        assert stale.status_code == 412
        assert stale.json()["type"] == "urn:millrace:problem:version-mismatch"
    assert (await rest.http.get(path)).json()["name"] == "b"
    assert len(await rest.events(created["id"])) == 2
    missing = f"{PATH}/01a1fb67-1800-7000-8000-000000000000"
    gone = await rest.http.put(missing, json={"name": "c"}, headers={"if-match": '"1"'})
    assert gone.status_code == 404
    current = await rest.http.delete(path, headers={"if-match": '"2"'})
    assert current.status_code == 204


async def test_writes_to_a_missing_resource_change_nothing(rest: Rest) -> None:
    path = f"{PATH}/01a1fb67-1800-7000-8000-000000000000"
    assert (await rest.http.put(path, json={"name": "x"})).status_code == 404
    assert (await rest.http.delete(path)).status_code == 404
    assert await rest.rows("SELECT 1 FROM outbox_events") == []


async def test_the_outbox_order_of_a_resource_is_its_version_order(rest: Rest) -> None:
    """200 writes race for one resource on 10 connections, with others in between."""
    turns = asyncio.Semaphore(40)
    resource_id = (await rest.create())["id"]
    path = f"{PATH}/{resource_id}"

    async def write(number: int) -> int:
        async with turns:
            if number % 5 == 0:
                await rest.create()
            response = await rest.http.put(path, json={"name": f"n{number}"})
        assert response.status_code == 200, response.text
        return response.json()["version"]

    versions = await asyncio.gather(*(write(number) for number in range(200)))
    assert sorted(versions) == list(range(2, 202))
    events = await rest.events(resource_id)
    assert [event["aggregate_version"] for event in events] == list(range(1, 202))
    times = [json.loads(event["body"])["updated_at"] for event in events]
    assert times == sorted(times)


async def test_racing_deletes_leave_one_event(rest: Rest) -> None:
    resource_id = (await rest.create())["id"]
    path = f"{PATH}/{resource_id}"
    answers = await asyncio.gather(*(rest.http.delete(path) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [204] + [404] * 19
    types = [event["event_type"] for event in await rest.events(resource_id)]
    assert types == [RESOURCE_CREATED, RESOURCE_DELETED]


async def test_a_write_is_one_statement(rest: Rest, postgres: PostgresServer) -> None:
    """As the server itself logs them; a second round trip or transaction would show."""
    name = rest.database.name
    await postgres.as_admin(f"ALTER DATABASE {name} SET log_statement = 'all'")
    resource_id = (await rest.create())["id"]
    path = f"{PATH}/{resource_id}"
    await rest.http.put(path, json={"name": "again"})
    await rest.http.delete(path)
    for _ in range(2):
        await rest.http.post(PATH, json={"name": "once"}, headers={"idempotency-key": "key"})
    await postgres.as_admin("SELECT 'after the writes'", name)

    async def logged() -> bool:
        return "after the writes" in postgres.container.logs()

    await eventually(logged)
    lines = [
        line.partition("LOG:")[2].strip()
        for line in postgres.container.logs().splitlines()
        if f"@{name}/rest-service LOG:" in line and "SELECT pg_notify($1" not in line
    ]
    assert len(lines) == 5, lines
    assert all(line.startswith("execute ") for line in lines), lines


async def test_a_lone_write_notifies_in_its_own_transaction_and_only_when_it_wrote(
    rest: Rest,
) -> None:
    heard: list[object] = []
    listener = await connect(rest.database, "test", connect_timeout=PATIENCE)
    await listener.add_listener("outbox", lambda *args: heard.append(args[3]))
    await rest.http.put(f"{PATH}/01a1fb67-1800-7000-8000-000000000000", json={"name": "x"})
    await asyncio.sleep(0.02)  # the debounce interval is over
    await rest.create()
    await listener.fetchval("SELECT 1")  # notifications of earlier commits come before its answer
    assert heard == [""]
    await listener.close()


async def test_whoever_listens_learns_of_every_event_of_a_burst(rest: Rest) -> None:
    """Far fewer notifications than writes, and the last comes after the last commit."""
    heard = looked_at = seen = 0
    listener = await connect(rest.database, "test", connect_timeout=PATIENCE)

    def on_notify(*_: object) -> None:
        nonlocal heard
        heard += 1

    await listener.add_listener("outbox", on_notify)
    for _ in range(10):
        await asyncio.gather(*(rest.create() for _ in range(30)))

    async def all_seen() -> bool:
        nonlocal seen, looked_at
        while heard != looked_at:  # look only when woken, as a relay without polling would
            looked_at = heard
            seen = await listener.fetchval("SELECT count(*) FROM outbox_events")
        return seen == 300

    await eventually(all_seen)
    assert 1 <= heard < 300
    await listener.close()


@pytest.mark.parametrize("change", ["POST", "PUT", "DELETE"])
async def test_when_the_event_cannot_be_stored_neither_is_the_change(
    rest: Rest, change: str
) -> None:
    kept = await rest.create(name="kept")
    await rest.rows("ALTER TABLE outbox_events ADD CONSTRAINT none CHECK (attempts > 0) NOT VALID")
    path = PATH if change == "POST" else f"{PATH}/{kept['id']}"
    body = None if change == "DELETE" else {"name": "changed"}
    response = await rest.http.request(change, path, json=body)
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert [row["name"] for row in await rest.rows("SELECT name FROM resources")] == ["kept"]
    assert len(await rest.rows("SELECT 1 FROM outbox_events")) == 1


async def test_openapi_documents_every_problem(rest: Rest) -> None:
    document = (await rest.http.get("/openapi.json")).json()
    assert set(document["paths"]) == {
        *(PATH, f"{PATH}/{{resource_id}}"),
        *("/data", "/data/{document_id}"),
    }
    assert "HTTPValidationError" not in json.dumps(document)
    for methods in document["paths"].values():
        for operation in methods.values():
            codes = {code for code in operation["responses"] if code >= "400"}
            assert {"500", "503"} < codes
            for code in codes:
                content = operation["responses"][code]["content"]
                schema = content["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}
    assert "correlation_id" in document["components"]["schemas"]["Problem"]["properties"]


async def test_metrics_name_the_route_and_never_the_path(rest: Rest) -> None:
    created = await rest.create()
    path = f"{PATH}/{created['id']}"
    await rest.http.get(path)
    await rest.http.get(path)
    await rest.http.get("/some/path/of/a/scanner")
    await rest.http.request("BREW", "/coffee")
    text = (await rest.http.get("/metrics")).text
    assert created["id"] not in text
    assert "scanner" not in text
    assert "BREW" not in text
    route = f"{PATH}/{{resource_id}}"
    assert rest.metric("http_requests_total", method="GET", route=route, status="200") == 2
    assert rest.metric("http_request_duration_seconds_count", method="GET", route=route) == 2
    assert rest.metric("http_requests_total", method="GET", route="unmatched", status="404") == 1
    assert rest.metric("cache_requests_total", result="miss") == 1
    assert rest.metric("cache_requests_total", result="hit") == 1
    for name, idle in ((rest.database.name, 1), (rest.data_store.name, 0)):
        assert rest.metric("db_pool_connections", database=name, state="idle") >= idle
        assert rest.metric("db_pool_connections", database=name, state="max") == 10
    for name in ("ca", "localhost"):
        end = rest.metric("tls_certificate_expiry_timestamp_seconds", certificate=name)
        assert end > time.time()


async def test_health_ready_and_metrics_answer(rest: Rest) -> None:
    for path in ("/health", "/ready", "/metrics"):
        response: httpx.Response = await rest.http.get(path)
        assert response.status_code == 200, response.text


async def test_a_prepared_list_starts_in_the_index_where_its_page_does(rest: Rest) -> None:
    connection = await connect(rest.database, "test", connect_timeout=PATIENCE)
    await connection.execute("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off")
    await connection.execute(f"PREPARE listing (text, bigint) AS {repository._LIST}")
    rows = await connection.fetch("EXPLAIN EXECUTE listing ('a', 10)")
    await connection.close()
    plan = "\n".join(row[0] for row in rows)
    assert "Index Cond: ((id)::text < $1)" in plan, plan
