"""Puts one writer process together and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time

from prometheus_client import CollectorRegistry

from services.cpu_writer.closing import Closer
from services.cpu_writer.member import Member
from services.cpu_writer.metrics import WriterMetrics
from services.cpu_writer.pool import Pool
from services.cpu_writer.reading import Reader
from services.cpu_writer.settings import MemberSettings, WriterSettings
from services.cpu_writer.store import PROBE, RollupStore
from services.shared.kafka.asynchronous import consumer, stop
from services.shared.mysql.writer import Writer
from services.shared.runtime.heartbeat import Heartbeat
from services.shared.runtime.logging import get_logger
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import DatabaseSettings, KafkaSettings, ServiceSettings
from services.shared.wiring.process import Process, work_until_stopped

log = get_logger(__name__)

_PRELOAD = ("services.cpu_writer.points", "services.cpu_writer.rollups")
_SHORTEST, _LONGEST = 0.5, 5.0
_SOUND_SECONDS = 30.0  # a client that lasted so long did not break because of its settings
_LEAVE_SECONDS = 5.0
_MADE_BEFORE_COLLECTING = 50_000


class NotJoinedError(Exception):
    """This process has no place in its group at the moment."""


async def run(
    service: ServiceSettings,
    database: DatabaseSettings,
    kafka: KafkaSettings,
    group: MemberSettings,
    settings: WriterSettings,
) -> None:
    """Write rollups and serve HTTP until SIGTERM or SIGINT; needs no server to start."""
    registry = new_registry()
    writer = Writer(database, registry, application_name=service.service_name, probe=PROBE)
    sessions = Sessions(service, kafka, group, settings, writer=writer, registry=registry)
    # Messages are thousands of objects that refer to each other in no circle and go together.
    gc.set_threshold(_MADE_BEFORE_COLLECTING)
    log.info("writer_starting", group=group.group_id, processes=settings.processes)
    try:
        await work_until_stopped(
            Process(
                service, writer, registry, sessions.heartbeat, checks={"group": sessions.check}
            ),
            sessions.run,
            on_stop=lambda: None,
        )
    finally:
        await sessions.close()
        await writer.close()
    log.info("writer_stopped")


class Sessions:
    """One client after the other: one that broke for good is replaced after a pause."""

    def __init__(
        self,
        service: ServiceSettings,
        kafka: KafkaSettings,
        group: MemberSettings,
        settings: WriterSettings,
        *,
        writer: Writer,
        registry: CollectorRegistry,
    ) -> None:
        self.heartbeat = Heartbeat(settings.wedged_after_seconds)
        self._client_id = group.group_instance_id or group.client_name or service.service_name
        self._kafka = kafka
        self._group = group
        self._settings = settings
        self._metrics = WriterMetrics(registry)
        self._store = RollupStore(writer, settings.window_seconds)
        self._pool = Pool(settings.processes, self._metrics.pool_restarts, preload=_PRELOAD)
        self._member: Member | None = None

    async def check(self) -> None:
        """Return when this process is a member of its group; raise NotJoinedError when not."""
        if self._member is None or not self._member.joined:
            raise NotJoinedError

    async def run(self, stopping: asyncio.Event) -> None:
        """Read until `stopping` is set."""
        pause = _SHORTEST
        while not stopping.is_set():
            began = time.monotonic()
            try:
                await self._session(stopping)
            except Exception:  # whatever broke, what is not committed comes again
                log.exception("consumer_broke")
                if time.monotonic() - began > _SOUND_SECONDS:
                    pause = _SHORTEST
                self.heartbeat.beat()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), pause)
                pause = min(_LONGEST, 2 * pause)

    async def close(self) -> None:
        """End the processes."""
        await self._pool.close()

    async def _session(self, stopping: asyncio.Event) -> None:
        settings = self._settings
        client = consumer(self._kafka, self._group, self._client_id)
        member = Member(client, settings.rule, self._metrics, settings.handover_seconds)
        self._member = member
        closer = Closer(
            self._pool,
            self._store,
            settings,
            metrics=self._metrics,
            heartbeat=self.heartbeat,
            stop=stopping,
        )
        reader = Reader(
            member, self._pool, closer, settings, heartbeat=self.heartbeat, stop=stopping
        )
        try:
            await client.start()
            client.subscribe(list(self._group.topics), listener=member)
            await reader.run()
        finally:
            await stop(client, _LEAVE_SECONDS)
            member.close()
