"""Puts one process of a consuming service together and runs it until it is told to stop.

A consuming service is its settings, a handler of messages and its statements; the rest is here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from services.shared.http.health import Readiness
from services.shared.kafka.clients import Config, consumer_config, producer_config
from services.shared.kafka.consumer import ConsumerLoop, Handler
from services.shared.kafka.consumer_metrics import ConsumerMetrics
from services.shared.kafka.dead_letters import DeadLetters
from services.shared.kafka.group import BatchSettings, GroupSettings
from services.shared.kafka.traced import in_traces
from services.shared.postgres.database import Database
from services.shared.runtime.heartbeat import Heartbeat
from services.shared.runtime.logging import get_logger
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import DatabaseSettings, KafkaSettings, ServiceSettings
from services.shared.wiring.process import Process, Routine, together, work_until_stopped

log = get_logger(__name__)

_DEAD_LETTER_TIMEOUT_MS = 8000


@dataclass(frozen=True, slots=True)
class Means:
    """What a service makes its work of.

    observer: the configuration of a client that asks about the group without a place in it.
    readiness: what /ready says, for who answers there in another way, too.
    """

    service: ServiceSettings
    database: Database
    registry: CollectorRegistry
    readiness: Readiness
    observer: Callable[[], Config]


@dataclass(frozen=True, slots=True)
class Work:
    """What a service does: handle messages, and beside that what runs until it is cancelled.

    to_its_end: what is told to stop together with the consumer, by the event that it is given, and
    gets as long to end; if it ends before, the process does. on_stop: rings for what does not wait
    for that event.
    """

    handler: Handler
    beside: Sequence[Routine] = ()
    to_its_end: Sequence[Callable[[asyncio.Event], Coroutine[Any, Any, None]]] = ()
    on_stop: Callable[[], None] = lambda: None


async def consume(
    work: Callable[[Means], Work],
    *,
    service: ServiceSettings,
    database: DatabaseSettings,
    kafka: KafkaSettings,
    group: GroupSettings,
    batches: BatchSettings,
) -> None:
    """Consume and serve HTTP until SIGTERM or SIGINT; needs no server to start.

    `work` is called once, with the database open.
    """
    registry = new_registry()
    client_id = group.group_instance_id or service.service_name

    def consuming(*, member: bool = True) -> Config:
        return consumer_config(
            kafka,
            client_id,
            group_id=group.group_id,
            group_instance_id=group.group_instance_id if member else None,
            session_timeout_ms=group.session_timeout_ms,
        )

    pool = Database(database, registry, application_name=service.service_name)
    await pool.open()
    heartbeat = Heartbeat(batches.wedged_after_seconds)
    process = Process(service, pool, registry, heartbeat)
    means = Means(service, pool, registry, process.readiness, lambda: consuming(member=False))
    made = work(means)
    dead_letters = DeadLetters(
        lambda: producer_config(kafka, client_id, message_timeout_ms=_DEAD_LETTER_TIMEOUT_MS),
        group.dead_letter_topic,
    )
    consumer = ConsumerLoop(
        consuming,
        group.topics,
        batches,
        handler=in_traces(made.handler, group.group_id),
        dead_letters=dead_letters,
        metrics=ConsumerMetrics(registry),
        heartbeat=heartbeat,
        loop=asyncio.get_running_loop(),
        leave_on_stop=group.leave_on_stop,
    )

    async def whole(stop: asyncio.Event) -> None:
        ending = [one(stop) for one in made.to_its_end]
        await together(stop, asyncio.to_thread(consumer.run), *ending)

    def on_stop() -> None:
        consumer.stop()
        made.on_stop()

    log.info("consumer_starting", topics=list(group.topics), group=group.group_id)
    try:
        await work_until_stopped(process, whole, on_stop=on_stop, beside=made.beside)
    finally:
        dead_letters.close()
        await pool.close()
    log.info("consumer_stopped")
