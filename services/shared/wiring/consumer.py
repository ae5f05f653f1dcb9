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
from services.shared.http.liveness import Heartbeat, worker_app
from services.shared.http.server import serve, stop_on_signals
from services.shared.kafka.clients import Config, consumer_config, producer_config
from services.shared.kafka.consumer import ConsumerLoop, Handler
from services.shared.kafka.consumer_metrics import ConsumerMetrics
from services.shared.kafka.dead_letters import DeadLetters
from services.shared.kafka.group import BatchSettings, GroupSettings
from services.shared.postgres.database import Database
from services.shared.runtime.logging import get_logger
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import DatabaseSettings, KafkaSettings, ServiceSettings

log = get_logger(__name__)

_DEAD_LETTER_TIMEOUT_MS = 8000


@dataclass(frozen=True, slots=True)
class Means:
    """What a service makes its work of.

    observer: the configuration of a client that asks about the group without a place in it.
    """

    database: Database
    registry: CollectorRegistry
    observer: Callable[[], Config]


@dataclass(frozen=True, slots=True)
class Work:
    """What a service does: handle messages, and `beside` that whatever runs until it is cancelled.

    Each of `beside` is called once to make its coroutine.
    """

    handler: Handler
    beside: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()


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
    made = work(Means(pool, registry, lambda: consuming(member=False)))
    dead_letters = DeadLetters(
        lambda: producer_config(kafka, client_id, message_timeout_ms=_DEAD_LETTER_TIMEOUT_MS),
        group.dead_letter_topic,
    )
    heartbeat = Heartbeat(batches.wedged_after_seconds)
    consumer = ConsumerLoop(
        consuming,
        group.topics,
        batches,
        handler=made.handler,
        dead_letters=dead_letters,
        metrics=ConsumerMetrics(registry),
        heartbeat=heartbeat,
        loop=asyncio.get_running_loop(),
        leave_on_stop=group.leave_on_stop,
    )
    readiness = Readiness(registry)
    readiness.add("database", pool.ping)
    app = worker_app(service.service_name, readiness, registry, heartbeat)

    stop = asyncio.Event()
    stop_on_signals(stop)
    log.info("consumer_starting", topics=list(group.topics), group=group.group_id)
    beside = [asyncio.create_task(make()) for make in made.beside]
    beside.append(asyncio.create_task(_stop_on(stop, consumer)))
    thread = asyncio.create_task(asyncio.to_thread(consumer.run))
    try:
        await serve(app, service, readiness, stop)
        # The thread needs this loop for its last batch, so the loop must wait for it.
        async with asyncio.timeout(service.shutdown_grace_seconds):
            await asyncio.shield(thread)
    except TimeoutError:
        log.warning("batch_abandoned", grace_seconds=service.shutdown_grace_seconds)
    finally:
        consumer.stop()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        dead_letters.close()
        await pool.close()
    log.info("consumer_stopped")


async def _stop_on(stop: asyncio.Event, consumer: ConsumerLoop) -> None:
    await stop.wait()
    consumer.stop()
