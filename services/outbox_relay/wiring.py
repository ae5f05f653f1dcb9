"""Puts one relay process together and runs it until it is told to stop."""

from __future__ import annotations

import contextlib
from functools import partial

from services.contracts.ids import new_id
from services.outbox_relay.leases import Leases
from services.outbox_relay.metrics import RelayMetrics
from services.outbox_relay.publisher import Publisher
from services.outbox_relay.relay import Relay
from services.outbox_relay.settings import RelaySettings
from services.outbox_relay.store import PLANNER, OutboxStore
from services.outbox_relay.upkeep import keep_partitions, watch_backlog
from services.shared.kafka.clients import producer_config
from services.shared.outbox.wake import Wake
from services.shared.postgres.database import Database
from services.shared.runtime.heartbeat import Heartbeat
from services.shared.runtime.logging import get_logger
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import DatabaseSettings, KafkaSettings, ServiceSettings
from services.shared.wiring.process import Process, work_until_stopped

log = get_logger(__name__)


async def run(
    service: ServiceSettings,
    database_settings: DatabaseSettings,
    kafka: KafkaSettings,
    settings: RelaySettings,
) -> None:
    """Relay and serve HTTP until SIGTERM or SIGINT."""
    registry = new_registry()
    metrics = RelayMetrics(registry)
    # Unique per process: see Leases.
    owner = f"{settings.id}/{new_id()[-12:]}"
    database = Database(
        database_settings,
        registry,
        application_name=service.service_name,
        server_settings=PLANNER,
    )
    await database.open()
    store = OutboxStore(database, owner)
    wake = Wake()
    leases = Leases(database, metrics, owner, settings.lease_ttl_seconds, on_gain=wake.set)
    publisher = Publisher(
        lambda: producer_config(kafka, settings.id, message_timeout_ms=settings.message_timeout_ms),
        metrics,
    )
    heartbeat = Heartbeat(settings.wedged_after_seconds)
    relay = Relay(
        settings,
        store=store,
        leases=leases,
        publisher=publisher,
        wake=wake,
        metrics=metrics,
        heartbeat=heartbeat,
    )
    log.info("relay_starting", owner=owner)
    try:
        await work_until_stopped(
            Process(service, database, registry, heartbeat),
            relay.run,
            on_stop=wake.set,
            beside=(
                publisher.leaders,  # connects before the first event is there
                leases.keep,
                partial(wake.listen, database),
                partial(keep_partitions, database, metrics, settings),
                partial(watch_backlog, store, metrics, settings.backlog_interval_seconds),
            ),
        )
    finally:
        with contextlib.suppress(Exception):
            await publisher.close()
        await database.close()
    log.info("relay_stopped", owner=owner)
