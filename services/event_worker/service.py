"""Puts one worker process together and runs it until it is told to stop."""

from __future__ import annotations

import asyncio

from services.event_worker.consumed import Consumed
from services.event_worker.consumer import ConsumerLoop
from services.event_worker.dead_letters import DeadLetters
from services.event_worker.gaps import Gaps
from services.event_worker.metrics import WorkerMetrics
from services.event_worker.processing import Processor
from services.event_worker.records import numbers_events
from services.event_worker.settings import GroupSettings, RetentionSettings, WorkerSettings
from services.event_worker.store import EventStore
from services.event_worker.upkeep import keep_closing_gaps, keep_tables
from services.shared.http.health import Readiness
from services.shared.http.liveness import Heartbeat, worker_app
from services.shared.http.server import serve, stop_on_signals
from services.shared.kafka.clients import Config, consumer_config, producer_config
from services.shared.postgres.database import Database
from services.shared.runtime.logging import get_logger
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import DatabaseSettings, KafkaSettings, ServiceSettings

log = get_logger(__name__)


async def run(
    service: ServiceSettings,
    database_settings: DatabaseSettings,
    kafka: KafkaSettings,
    group: GroupSettings,
    settings: WorkerSettings,
    *,
    retention: RetentionSettings,
) -> None:
    """Consume and serve HTTP until SIGTERM or SIGINT."""
    registry = new_registry()
    metrics = WorkerMetrics(registry)
    database = Database(database_settings, registry, application_name=service.service_name)
    await database.open()
    store = EventStore(database, settings.gap_deadline_seconds)
    processor = Processor(store, metrics)
    client_id = group.group_instance_id or service.service_name
    dead_letters = DeadLetters(
        lambda: producer_config(kafka, client_id, message_timeout_ms=8000),
        group.dead_letter_topic,
    )

    def consuming(*, member: bool = True) -> Config:
        return consumer_config(
            kafka,
            client_id,
            group_id=group.group_id,
            group_instance_id=group.group_instance_id if member else None,
            session_timeout_ms=group.session_timeout_ms,
        )

    numbered = [topic for topic in group.topics if numbers_events(topic)]
    consumed = Consumed(lambda: consuming(member=False), numbered)
    gaps = Gaps(processor, store, consumed, metrics)

    heartbeat = Heartbeat(settings.wedged_after_seconds)
    consumer = ConsumerLoop(
        consuming,
        group,
        settings,
        processor=processor,
        dead_letters=dead_letters,
        metrics=metrics,
        heartbeat=heartbeat,
        loop=asyncio.get_running_loop(),
    )
    readiness = Readiness(registry)
    readiness.add("database", database.ping)
    app = worker_app(service.service_name, readiness, registry, heartbeat)

    stop = asyncio.Event()
    stop_on_signals(stop)
    log.info("worker_starting", topics=list(group.topics), group=group.group_id)
    helpers = [
        asyncio.create_task(keep_closing_gaps(gaps, metrics, settings.gap_check_seconds)),
        asyncio.create_task(keep_tables(database, store, metrics, settings, retention.days)),
        asyncio.create_task(_stop_on(stop, consumer)),
    ]
    work = asyncio.create_task(asyncio.to_thread(consumer.run))
    try:
        await serve(app, service, readiness, stop)
        # The thread needs this loop for its last batch, so the loop must wait for it.
        async with asyncio.timeout(service.shutdown_grace_seconds):
            await asyncio.shield(work)
    except TimeoutError:
        log.warning("batch_abandoned", grace_seconds=service.shutdown_grace_seconds)
    finally:
        consumer.stop()
        for task in helpers:
            task.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        dead_letters.close()
        await database.close()
    log.info("worker_stopped")


async def _stop_on(stop: asyncio.Event, consumer: ConsumerLoop) -> None:
    await stop.wait()
    consumer.stop()
