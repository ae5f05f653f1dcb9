"""What telemetry stands on, for as long as the process lasts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from services.ingest_service.telemetry.metrics import TelemetryMetrics
from services.ingest_service.telemetry.sending import SETTLE_SECONDS, Sender
from services.ingest_service.telemetry.service import Telemetry
from services.ingest_service.telemetry.settings import (
    PointSettings,
    ReadersSettings,
    TelemetrySettings,
)
from services.ingest_service.telemetry.store import Store
from services.shared.kafka.clients import Config, producer_config
from services.shared.mysql.database import Database
from services.shared.runtime.settings import KafkaSettings


@dataclass(frozen=True)
class TelemetryMeans:
    """What telemetry is told."""

    points: PointSettings
    kafka: KafkaSettings
    source: TelemetrySettings
    readers: ReadersSettings


@contextlib.asynccontextmanager
async def telemetry(
    means: TelemetryMeans, name: str, registry: CollectorRegistry
) -> AsyncIterator[Telemetry]:
    """The service. Nothing is connected, or made, before somebody asks for it.

    Neither Kafka nor the telemetry database is a check of readiness: documents go on without them,
    and a pod taken out of its Service would take those along. Who asks for telemetry is told.
    """
    metrics = TelemetryMetrics(registry)
    source = Database(means.source, registry, application_name=name)
    readers = Database(
        means.readers,
        registry,
        application_name=name,
        metric_name=f"{means.readers.name}-readers",
    )
    sender = Sender(lambda: _config(means, name), means.points, metrics)
    await source.open()
    await readers.open()
    try:
        yield Telemetry(sender, Store(source, readers), metrics)
    finally:
        await sender.close()
        await source.close()
        await readers.close()


def _config(means: TelemetryMeans, name: str) -> Config:
    points = means.points
    milliseconds = int((points.seconds - SETTLE_SECONDS) * 1000)
    return producer_config(means.kafka, name, message_timeout_ms=milliseconds) | {
        # Never met: what does not fit is refused before anything is produced.
        "queue.buffering.max.messages": points.most_waiting + points.most,
    }
