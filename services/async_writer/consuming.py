"""A member of a consumer group in asyncio: takes a batch, has it stored, then commits its offsets.

The client's heartbeats are tasks of the same loop, so whatever takes long is waited for and not
done here. While a server is away the partitions are paused and the membership goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from services.async_writer.letters import Outbox
from services.async_writer.member import Batch, Member
from services.async_writer.settings import AsyncWriterSettings
from services.shared.kafka.consumer_metrics import ConsumerMetrics
from services.shared.kafka.dead_letters import BadMessage
from services.shared.kafka.stall import StalledError, StallWatch
from services.shared.runtime.heartbeat import Heartbeat
from services.shared.runtime.logging import get_logger
from services.shared.runtime.sizing import FittingSize
from services.shared.runtime.trouble import Trouble

log = get_logger(__name__)

Handler = Callable[[Sequence[Any]], Awaitable[list[BadMessage]]]
"""Has the effect of some messages, and returns those that can never have one. Safe to repeat; what
it raises is taken for the absence of a server."""
MakeClient = Callable[[], AIOKafkaConsumer]
Renew = Callable[[AIOKafkaConsumer], None]
"""Lets a client that runs log in with what is valid now."""

T = TypeVar("T")
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_SOUND_SECONDS = 30.0  # a client that lasted so long did not break because of its settings
_WAIT_SECONDS = 5.0
_TICK_SECONDS = 5.0
_BEAT_SECONDS = 4.0  # less than the least that a heartbeat may be limited to
_UNHEARD = 3
"""Looks that no broker answers, until the client is replaced. A new one is a stranger to the group,
which waits until the session of the old one has run out: not sooner than it has to be."""


class _AbandonedError(Exception):
    """The batch is no longer ours, or the service stops; somebody will get it again."""


class Consuming:
    """Consumes `topics` until it is told to stop. A client that broke is replaced after a pause."""

    def __init__(
        self,
        make_client: MakeClient,
        renew: Renew,
        topics: Sequence[str],
        settings: AsyncWriterSettings,
        *,
        handler: Handler,
        outbox: Outbox,
        metrics: ConsumerMetrics,
        heartbeat: Heartbeat,
    ) -> None:
        self._make_client = make_client
        self._renew = renew
        self._topics = topics
        self._settings = settings
        self._handler = handler
        self._outbox = outbox
        self._metrics = metrics
        self._heartbeat = heartbeat
        self._part = FittingSize(settings.batch_size)
        self._trouble = Trouble()
        self._stall = StallWatch(0)
        self._stop = asyncio.Event()
        self._joined = asyncio.Event()

    async def joined(self) -> None:
        """Return once the group has given this process a place, whatever comes later: while Kafka
        is away it is no less able to write than any other. Raise before."""
        if not self._joined.is_set():
            raise LookupError("not in its group yet")

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set: then the batch in hand is finished and committed, if its servers
        let it."""
        self._stop = stop
        pause = _SHORTEST_PAUSE
        while not stop.is_set():
            began = time.monotonic()
            try:
                await self._session()
            except Exception as error:  # whatever broke, uncommitted messages come again
                if isinstance(error, StalledError):
                    self._metrics.stalls.inc()
                if self._trouble.worth_logging(type(error).__name__):
                    known = isinstance(error, (KafkaError, StalledError))
                    log.warning("consumer_broke", error=repr(error), exc_info=not known)
                if time.monotonic() - began > _SOUND_SECONDS:
                    pause = _SHORTEST_PAUSE
                await self._rest(pause)
                pause = min(_LONGEST_PAUSE, 2 * pause)

    async def _session(self) -> None:
        member = Member(
            self._make_client(),
            self._metrics,
            handover_seconds=self._settings.handover_seconds,
            joined=self._joined,
        )
        tasks: list[asyncio.Task[Any]] = []
        try:
            await self._unless_stopped(member.client.start())
            if self._stop.is_set():
                return
            member.join(self._topics)
            tasks = [
                asyncio.create_task(self._turns(member)),
                asyncio.create_task(self._watch(member)),
            ]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await member.close()

    async def _turns(self, member: Member) -> None:
        while not self._stop.is_set():
            batch = await self._unless_stopped(
                member.take(self._settings.batch_size, self._settings.gather_seconds, _WAIT_SECONDS)
            )
            if batch is not None:
                await self._handle(member, batch)

    async def _handle(self, member: Member, batch: Batch) -> None:
        done: list[Any] = []
        try:
            # More than once only after a failure: smaller parts.
            while len(done) < len(batch.messages):
                if done and (self._stop.is_set() or not member.owns(batch)):
                    raise _AbandonedError
                done += await self._handle_part(member, batch, len(done))
        except _AbandonedError:
            log.info("batch_abandoned", messages=len(batch.messages) - len(done))
        finally:
            member.resume()
            member.release(batch, done)

    async def _handle_part(self, member: Member, batch: Batch, start: int) -> list[Any]:
        """Handle some of the batch from `start` on; gives what it was."""

        async def handle() -> tuple[list[Any], list[BadMessage]]:
            part = list(batch.messages[start : start + self._part.now])
            try:
                bad = await self._handler(part)
            except Exception:
                self._part.failed(len(part))
                raise
            self._part.succeeded()
            return part, bad

        part, bad = await self._insist(member, batch, handle)
        if bad:
            await self._insist(member, batch, lambda: self._outbox.send(bad))
        for message in part:
            self._metrics.consumed.labels(message.topic).inc()
        return part

    async def _insist(self, member: Member, batch: Batch, action: Callable[[], Awaitable[T]]) -> T:
        """Repeat `action` until it succeeds, or the batch is somebody else's."""
        pause = _SHORTEST_PAUSE
        while True:
            self._heartbeat.beat()
            try:
                answer = await action()
            except Exception as error:  # any: nothing may be skipped, whatever the reason
                if self._trouble.worth_logging("batch_will_be_retried"):
                    log.warning("batch_will_be_retried", error=f"{type(error).__name__}: {error}")
            else:
                if self._trouble.over():
                    log.info("batch_recovered")
                return answer
            self._metrics.retries.inc()
            member.pause()
            await self._stand_by(member, batch, pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def _stand_by(self, member: Member, batch: Batch, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            if self._stop.is_set() or not member.owns(batch):
                raise _AbandonedError
            left = until - time.monotonic()
            if left <= 0:
                return
            await self._rest(min(left, 0.2))

    async def _watch(self, member: Member) -> None:
        """What is looked after beside the batches; raises StalledError."""
        due = time.monotonic() + self._settings.stalled_after_seconds
        unheard = 0
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self._renew(member.client)
            member.measure_lag()
            member.commit_soon()  # what could not be committed before
            if time.monotonic() < due:
                continue
            due = time.monotonic() + self._settings.stalled_after_seconds
            try:
                unread = await member.unread()
            except (KafkaError, TimeoutError) as error:
                unheard += 1
                if unheard >= _UNHEARD:
                    raise StalledError(f"no broker has answered for long: {error!r}") from error
                continue
            unheard = 0
            self._stall.look(lambda found=unread: found)

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What `work` gives; None when the service was told to stop before."""
        task = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stop.wait())
        try:
            while not task.done() and not stopping.done():
                self._heartbeat.beat()
                await asyncio.wait(
                    {task, stopping}, timeout=_BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
            return task.result() if task.done() else None
        finally:
            for one in (stopping, task):
                one.cancel()
            await asyncio.gather(stopping, task, return_exceptions=True)

    async def _rest(self, seconds: float) -> None:
        self._heartbeat.beat()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()
