"""A new service's outbox, made of the library alone."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.contracts.ids import is_uuid7, new_id
from services.shared.outbox import ddl
from services.shared.outbox.events import Origin, Outbox, with_event, with_events
from services.shared.outbox.lanes import lane_of
from services.shared.outbox.wakeup import CHANNEL
from services.shared.postgres.database import Database
from tests.integration.authority import PATIENCE
from tests.integration.servers import PostgresServer

_numbers = itertools.count(1)
ORIGIN = Origin("correlation", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
RENAME = with_event(
    "UPDATE things SET name = $7, version = version + 1 WHERE id = $1 RETURNING *",
    "thing.renamed",
    "jsonb_build_object('id', r.id, 'name', r.name)",
    "r.id, r.version FROM (SELECT 1) AS one LEFT JOIN r ON true",
)

RENAME_ALL = with_events(
    """SELECT t.id, t.version, t.name, g.event_id, g.lane, 'correlation' AS correlation_id,
              NULL AS traceparent, g.place
       FROM changed t JOIN given g ON g.id = t.id AND g.place = t.version""",
    "thing.renamed",
    "jsonb_build_object('name', r.name)",
    "r.id FROM r",
    before="""given AS (
        SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[])
                      WITH ORDINALITY AS t(id, event_id, lane, place)),
    changed AS (UPDATE things SET version = g.place FROM given g WHERE things.id = g.id
                RETURNING things.*),""",
)


class Statements(list[str]):
    """Takes the place of alembic.op."""

    def execute(self, sqltext: Any, /) -> None:
        self.append(sqltext)


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[Database]:
    settings = await postgres.provision(f"things_{next(_numbers)}")
    made = Database(
        settings,
        CollectorRegistry(),
        application_name="things",
        connect_timeout=PATIENCE,
        acquire_timeout=30.0,
        command_timeout=30.0,
    )
    await made.open()
    first_revision = Statements()
    ddl.upgrade_v1(first_revision)
    first_revision.execute("CREATE TABLE things (id text PRIMARY KEY, name text, version bigint)")
    async with made.connection() as connection:
        await connection.execute("; ".join(first_revision))
    yield made
    await made.close()


async def test_every_change_leaves_its_event_and_wakes_the_relay_and_no_change_leaves_none(
    database: Database,
) -> None:
    thing = new_id()
    await database.fetch("INSERT INTO things VALUES ($1, 'old', 1)", thing)
    listener = await database.connect()
    heard: asyncio.Queue[object] = asyncio.Queue()
    await listener.add_listener(CHANNEL, lambda *_: heard.put_nowait(None))
    outbox = Outbox(database)

    changed = await outbox.write(RENAME, thing, ORIGIN, "new")
    assert (changed["id"], changed["version"]) == (thing, 2)
    await asyncio.wait_for(heard.get(), 30)
    missing = await outbox.write(RENAME, "nothing", ORIGIN, "new")
    assert missing["id"] is None

    (event,) = await database.fetch("SELECT *, payload::text AS body FROM outbox_events")
    assert is_uuid7(event["id"])
    assert (event["lane"], event["aggregate_id"]) == (lane_of(thing), thing)
    assert (event["aggregate_version"], event["event_type"]) == (2, "thing.renamed")
    assert (event["correlation_id"], event["traceparent"]) == (
        ORIGIN.correlation_id,
        ORIGIN.traceparent,
    )
    assert json.loads(event["body"]) == {"id": thing, "name": "new"}
    await outbox.close()
    await listener.close()


async def test_many_changes_leave_their_events_in_their_order_and_wake_the_relay_once(
    database: Database,
) -> None:
    listener = await database.connect()
    heard: asyncio.Queue[object] = asyncio.Queue()
    await listener.add_listener(CHANNEL, lambda *_: heard.put_nowait(None))
    things = [new_id() for _ in range(3)]
    for thing in things:
        await database.fetch("INSERT INTO things VALUES ($1, $1, 0)", thing)
    things.reverse()
    events = [new_id() for _ in things]
    lanes = [lane_of(thing) for thing in things]

    async with database.connection() as connection, connection.transaction():
        changed = await connection.fetch(RENAME_ALL, things, events, lanes)
        assert heard.empty()
    assert {row["id"] for row in changed} == set(things)
    await asyncio.wait_for(heard.get(), 30)

    left = await database.fetch("SELECT * FROM outbox_events ORDER BY seq")
    assert [row["aggregate_id"] for row in left] == things
    assert [(row["id"], row["lane"]) for row in left] == list(zip(events, lanes, strict=True))
    assert [row["aggregate_version"] for row in left] == [1, 2, 3]
    assert await database.fetch(RENAME_ALL, [], [], []) == []
    await listener.execute("SELECT 1")
    assert heard.empty()
    await listener.close()
