"""Puts one writer process together and runs it until it is told to stop."""

from __future__ import annotations

from functools import partial

from services.async_writer.consuming import Consuming
from services.async_writer.letters import Outbox
from services.async_writer.metrics import WriterMetrics
from services.async_writer.processing import Processor
from services.async_writer.settings import AsyncWriterSettings
from services.async_writer.statement import PROBE
from services.async_writer.store import PointStore
from services.shared.kafka.asynchronous import consumer, renew
from services.shared.kafka.clients import producer_config
from services.shared.kafka.consumer_metrics import ConsumerMetrics
from services.shared.kafka.dead_letters import DeadLetters
from services.shared.kafka.group import GroupSettings
from services.shared.kafka.traced import in_traces
from services.shared.mysql.writer import Writer
from services.shared.runtime.heartbeat import Heartbeat
from services.shared.runtime.logging import get_logger
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import DatabaseSettings, KafkaSettings, ServiceSettings
from services.shared.wiring.process import Process, work_until_stopped

log = get_logger(__name__)

_DEAD_LETTER_TIMEOUT_MS = 8000


async def run(
    service: ServiceSettings,
    database: DatabaseSettings,
    kafka: KafkaSettings,
    group: GroupSettings,
    settings: AsyncWriterSettings,
) -> None:
    """Write points and serve HTTP until SIGTERM or SIGINT; needs no server to start."""
    registry = new_registry()
    client_id = group.client_name or group.group_instance_id or service.service_name
    writer = Writer(database, registry, application_name=service.service_name, probe=PROBE)
    metrics, membership = WriterMetrics(registry), ConsumerMetrics(registry)
    outbox = Outbox(
        DeadLetters(
            lambda: producer_config(kafka, client_id, message_timeout_ms=_DEAD_LETTER_TIMEOUT_MS),
            group.dead_letter_topic,
        ),
        membership,
        settings.dead_letters_at_a_time,
    )
    heartbeat = Heartbeat(settings.wedged_after_seconds)
    processor = Processor(PointStore(writer, metrics), metrics, heartbeat.beat)
    consuming = Consuming(
        partial(consumer, kafka, group, client_id),
        partial(renew, settings=kafka),
        group.topics,
        settings,
        handler=in_traces(processor.process, group.group_id),
        outbox=outbox,
        metrics=membership,
        heartbeat=heartbeat,
    )
    log.info("writer_starting", topics=list(group.topics), group=group.group_id)
    try:
        await work_until_stopped(
            Process(service, writer, registry, heartbeat, checks={"group": consuming.joined}),
            consuming.run,
            on_stop=lambda: None,
        )
    finally:
        await outbox.close()
        await writer.close()
    log.info("writer_stopped")
