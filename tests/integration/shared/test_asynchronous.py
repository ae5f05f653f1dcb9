"""A consumer for asyncio is closed whatever its client makes of it."""

from __future__ import annotations

import asyncio
from typing import Any

from services.contracts.topics import DEAD_LETTER, TASK_PROCESS
from services.shared.kafka.asynchronous import consumer, stop
from services.shared.kafka.group import GroupSettings
from tests.integration.kafka_container import WORKER, KafkaServer
from tests.integration.servers import eventually


async def _assigned(kafka_server: KafkaServer) -> Any:
    group = GroupSettings(
        group_id=kafka_server.new_group(), topics=(TASK_PROCESS,), dead_letter_topic=DEAD_LETTER
    )
    client: Any = consumer(kafka_server.settings(WORKER), group, "tester")
    await client.start()
    client.subscribe([TASK_PROCESS])

    async def assigned() -> bool:
        await client.getmany(timeout_ms=100)
        return bool(client.assignment())

    await eventually(assigned)
    return client


async def test_a_fetch_that_is_cancelled_while_it_closes_is_no_cancellation_of_who_closes(
    kafka_server: KafkaServer,
) -> None:
    """It was: a service that was told to stop in that moment ended with an error."""
    before = asyncio.all_tasks()
    client = await _assigned(kafka_server)
    fetch = asyncio.create_task(asyncio.sleep(600))
    client._fetcher._pending_tasks.add(fetch)
    await stop(client, 30)
    assert fetch.cancelled()
    assert not {task for task in asyncio.all_tasks() - before if not task.done()}
