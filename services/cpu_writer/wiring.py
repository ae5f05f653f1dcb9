"""Puts one writer process together and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import time

from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from services.cpu_writer.closing import Closer
from services.cpu_writer.member import Member
from services.cpu_writer.metrics import WriterMetrics
from services.cpu_writer.reading import Reader
from services.cpu_writer.settings import CpuWriterSettings, MemberSettings
from services.cpu_writer.store import PROBE, RollupStore
from services.cpu_writer.waiting import StoppedError, Waiting
from services.shared.kafka.asynchronous import consumer, renew, stop
from services.shared.kafka.stall import StalledError, StallWatch
from services.shared.mysql.writer import Writer
from services.shared.runtime.heartbeat import Heartbeat
from services.shared.runtime.logging import get_logger
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.pool import Pool
from services.shared.runtime.settings import DatabaseSettings, KafkaSettings, ServiceSettings
from services.shared.runtime.trouble import Trouble
from services.shared.wiring.process import Process, work_until_stopped

log = get_logger(__name__)

_PRELOAD = ("services.cpu_writer.points", "services.cpu_writer.rollups")
_SHORTEST, _LONGEST = 0.5, 5.0
_SOUND_SECONDS = 30.0  # a client that lasted so long did not break because of its settings
_LEAVE_SECONDS = 5.0
_RENEW_SECONDS = 5.0
_UNHEARD = 3
_MADE_BEFORE_COLLECTING = 50_000


class NotJoinedError(Exception):
    """The group has given this process no place yet."""


async def run(
    service: ServiceSettings,
    database: DatabaseSettings,
    kafka: KafkaSettings,
    group: MemberSettings,
    settings: CpuWriterSettings,
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
        settings: CpuWriterSettings,
        *,
        writer: Writer,
        registry: CollectorRegistry,
    ) -> None:
        self.heartbeat = Heartbeat(settings.wedged_after_seconds)
        self._client_id = group.client_name or group.group_instance_id or service.service_name
        self._kafka = kafka
        self._group = group
        self._settings = settings
        self._metrics = WriterMetrics(registry)
        self._store = RollupStore(writer, settings.window_seconds)
        self._pool = Pool(settings.processes, self._metrics.pool_restarts, preload=_PRELOAD)
        self._joined = asyncio.Event()
        self._trouble = Trouble()

    async def check(self) -> None:
        """Return once the group has given this process a place, whatever comes later: while Kafka
        is away it is no less able to write than any other. Raise NotJoinedError before."""
        if not self._joined.is_set():
            raise NotJoinedError

    async def run(self, stopping: asyncio.Event) -> None:
        """Read until `stopping` is set."""
        waiting = Waiting(self.heartbeat, stopping)
        pause = _SHORTEST
        while not stopping.is_set():
            began = time.monotonic()
            try:
                await self._session(waiting)
            except StoppedError:
                return
            except Exception as error:  # whatever broke, what is not committed comes again
                if isinstance(error, StalledError):
                    self._metrics.consumer.stalls.inc()
                if self._trouble.worth_logging(type(error).__name__):
                    known = isinstance(error, (KafkaError, StalledError))
                    log.warning("consumer_broke", error=repr(error), exc_info=not known)
                if time.monotonic() - began > _SOUND_SECONDS:
                    pause = _SHORTEST
                await waiting.rest(pause)
                pause = min(_LONGEST, 2 * pause)

    async def close(self) -> None:
        """End the processes."""
        await self._pool.close()

    async def _session(self, waiting: Waiting) -> None:
        settings = self._settings
        client = consumer(self._kafka, self._group, self._client_id)
        member = Member(
            client,
            settings.rule,
            self._metrics,
            handover_seconds=settings.handover_seconds,
            joined=self._joined,
        )
        closer = Closer(self._pool, self._store, settings, metrics=self._metrics, waiting=waiting)
        reader = Reader(
            member, self._pool, closer, settings, waiting=waiting, group=self._group.group_id
        )
        tasks: list[asyncio.Task[None]] = []
        try:
            await waiting.unless_stopped(client.start())
            client.subscribe(list(self._group.topics), listener=member)
            tasks = [
                asyncio.create_task(reader.run()),
                asyncio.create_task(self._watch(member)),
            ]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await stop(client, _LEAVE_SECONDS)
            member.close()

    async def _watch(self, member: Member) -> None:
        """What is looked after beside the messages; raises StalledError."""
        stall = StallWatch(0)
        due = time.monotonic() + self._settings.stalled_after_seconds
        unheard = 0
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            renew(member.client, self._kafka)
            if member.writing.locked() or time.monotonic() < due:
                continue  # who waits for the database asks for no messages
            due = time.monotonic() + self._settings.stalled_after_seconds
            try:
                unread = await member.unread()
            except (KafkaError, TimeoutError) as error:
                unheard += 1
                if unheard >= _UNHEARD:
                    raise StalledError(f"no broker has answered for long: {error!r}") from error
                continue
            unheard = 0
            stall.look(lambda found=unread: found)
