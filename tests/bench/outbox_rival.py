"""A relay as one has it from a library: faststream-outbox, which hands each row of its table to a
function that FastStream's publisher for Kafka sends the answer of. As many at a time as
RIVAL_WORKERS says; with more than one the events of a key have no order."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from aiokafka.helpers import create_ssl_context
from faststream import FastStream
from faststream.kafka import KafkaBroker, KafkaResponse
from faststream.security import SASLScram512
from faststream_outbox import OutboxBroker, make_outbox_table
from faststream_outbox.annotations import OutboxMessage
from sqlalchemy import URL, MetaData
from sqlalchemy.ext.asyncio import create_async_engine

from services.contracts.topics import RESOURCE_UPDATED
from services.shared.runtime.databases import tls_context
from services.shared.runtime.settings import DatabaseSettings, KafkaSettings, load, read_secret
from tests.bench.outbox_load import Outbox

TABLE: Final = "rival"
QUEUE: Final = "events"


def outbox(database: DatabaseSettings) -> Outbox:
    """Its table, written to as its own producer does, without what that computes."""
    return Outbox(
        database,
        insert=f"""
INSERT INTO {TABLE} (queue, payload, headers)
VALUES ('{QUEUE}', convert_to($5::text, 'UTF8'), jsonb_build_object(
    'event_id', $1::text, 'lane', $2::smallint, 'key', $3::text, 'aggregate_version', $4::bigint))
""",
        notify=f"SELECT pg_notify('outbox_{TABLE}', '{QUEUE}')",
        unsent=f"SELECT EXISTS (SELECT 1 FROM {TABLE})",
    )


async def main() -> None:
    database, kafka = load(DatabaseSettings), load(KafkaSettings)
    workers = int(os.environ["RIVAL_WORKERS"])
    url = URL.create(
        "postgresql+asyncpg",
        database.user,
        read_secret(database.password_file),
        database.host,
        database.port,
        database.name,
    )
    engine = create_async_engine(url, connect_args={"ssl": tls_context(str(database.ca_file))})
    metadata = MetaData()
    table = make_outbox_table(metadata, table_name=TABLE)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    rows = OutboxBroker(engine, outbox_table=table, logger=None)
    bus = KafkaBroker(
        kafka.bootstrap_servers,
        security=SASLScram512(
            kafka.username,
            read_secret(kafka.password_file),
            ssl_context=create_ssl_context(cafile=str(kafka.ca_file)),
        ),
        acks="all",
        enable_idempotence=True,
        linger_ms=2,
        max_batch_size=256 * 1024,
        compression_type="lz4",
        logger=None,
    )

    @bus.publisher(RESOURCE_UPDATED)
    @rows.subscriber(
        QUEUE,
        max_workers=workers,
        fetch_batch_size=500,
        terminal_flush_batch_size=min(500, workers),
        min_fetch_interval=0.025,
        max_fetch_interval=1,
    )
    async def relay(message: OutboxMessage) -> KafkaResponse:
        headers = {name: str(value) for name, value in message.headers.items()}
        return KafkaResponse(message.body, key=headers.pop("key").encode(), headers=headers)

    await FastStream(rows, on_startup=[bus.connect], logger=None).run()


if __name__ == "__main__":
    asyncio.run(main())
