"""A new service's outbox, made of the library alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.contracts.ids import is_uuid7, new_id
from services.shared.outbox import ddl
from services.shared.outbox.events import Origin, Outbox, with_event
from services.shared.outbox.lanes import lane_of
from services.shared.outbox.wakeup import CHANNEL
from services.shared.postgres.database import Database
from tests.integration.authority import PATIENCE
from tests.integration.servers import PostgresServer

ORIGIN = Origin("correlation", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
RENAME = with_event(
    "UPDATE things SET name = $7, version = version + 1 WHERE id = $1 RETURNING *",
    "thing.renamed",
    "jsonb_build_object('id', r.id, 'name', r.name)",
    "r.id, r.version FROM (SELECT 1) AS one LEFT JOIN r ON true",
)


class Statements(list[str]):
    """Takes the place of alembic.op."""

    def execute(self, sqltext: Any, /) -> None:
        self.append(sqltext)


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[Database]:
    settings = await postgres.provision("things")
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
