"""The relay's loop: claim a batch, publish it, wait for every answer, mark it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from services.outbox_relay.leases import Held, Leases
from services.outbox_relay.metrics import RelayMetrics
from services.outbox_relay.outcomes import (
    Answer,
    OutboxEvent,
    Result,
    Settlement,
    exhausted,
    pause_seconds,
    settle,
)
from services.outbox_relay.publisher import Publisher
from services.outbox_relay.settings import SAFETY_SECONDS, RelaySettings
from services.outbox_relay.store import OutboxStore
from services.outbox_relay.trouble import Trouble
from services.outbox_relay.wake import Pace, Wake
from services.shared.database import DatabaseUnavailableError
from services.shared.liveness import Heartbeat
from services.shared.logging import get_logger

log = get_logger(__name__)

T = TypeVar("T")
_OUTAGE_PAUSES = (0.1, 0.25, 0.5)  # and each look at Kafka waits a second for it to answer
# Said nothing, or undid the statement for the sake of another: it may be made again.
_REPEATABLE = (
    DatabaseUnavailableError,
    asyncpg.TransactionRollbackError,  # deadlock, serialization
    asyncpg.LockNotAvailableError,
)


class Relay:
    """One loop over the lanes of `leases`. Never more than one batch is in flight."""

    def __init__(
        self,
        settings: RelaySettings,
        *,
        store: OutboxStore,
        leases: Leases,
        publisher: Publisher,
        wake: Wake,
        metrics: RelayMetrics,
        heartbeat: Heartbeat,
    ) -> None:
        self._settings = settings
        self._store = store
        self._leases = leases
        self._publisher = publisher
        self._wake = wake
        self._metrics = metrics
        self._heartbeat = heartbeat
        self._pace = Pace(settings.poll_min_seconds, settings.poll_max_seconds)
        self._resting: dict[str, float] = {}
        self._topic_failures: dict[str, int] = {}
        self._outages = 0
        self._trouble = Trouble()

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop`, then finish the batch in flight and hand back every lane."""
        while not stop.is_set():
            self._heartbeat.beat()
            try:
                await self._leases.release_surplus()
                pause = await self._turn(stop)
            except DatabaseUnavailableError as error:
                if self._trouble.worth_logging("database_unavailable"):
                    log.warning("database_unavailable", error=str(error))
                await _rest(stop, 0.5)
                continue
            except Exception:  # a bug must neither end the loop nor spin it
                if self._trouble.worth_logging("turn_failed"):
                    log.exception("turn_failed")
                await _rest(stop, 1.0)
                continue
            if pause > 0 and not stop.is_set():
                await self._wake.wait(pause)
        try:
            await self._leases.release_all()
        except DatabaseUnavailableError as error:
            log.warning("leases_left_to_expire", error=str(error))

    async def _turn(self, stop: asyncio.Event) -> float:
        """One batch, or none; returns how long to wait for a wake-up before the next turn."""
        if self._outages and not await self._publisher.reachable():
            return await self._sit_out(stop)
        lanes = self._leases.usable(self._settings.batch_seconds)
        if not lanes:
            return self._pace.after_nothing()
        started = time.monotonic()
        batch = await self._claim(lanes)
        if not batch:
            return self._pace.after_nothing()
        results = await self._publish(batch, lanes)
        settlement = settle(batch, results, self._settings.max_attempts)
        await self._write_back(settlement, {lane: held.token for lane, held in lanes.items()}, stop)
        if settlement.outage:
            return await self._sit_out(stop)
        if self._outages:
            log.info("kafka_available")
        self._outages = 0
        pause = self._pace.after_work()
        if len(batch) == self._settings.batch_size:
            return 0
        # A wake-up that came during the batch must not start a batch per event: let some gather.
        await asyncio.sleep(max(0.0, started + self._settings.gather_seconds - time.monotonic()))
        return pause

    async def _sit_out(self, stop: asyncio.Event) -> float:
        """Wait out a moment of Kafka's absence, longer each time, whatever NOTIFY says."""
        pause = _OUTAGE_PAUSES[min(self._outages, len(_OUTAGE_PAUSES) - 1)]
        self._outages += 1
        if self._outages == 1:
            log.warning("kafka_unavailable")
        await _rest(stop, pause)
        return 0

    async def _claim(self, lanes: dict[int, Held]) -> list[OutboxEvent]:
        now = time.monotonic()
        self._resting = {key: until for key, until in self._resting.items() if until > now}
        batch = await self._store.claim(
            {lane: held.token for lane, held in lanes.items()},
            lease_left=self._settings.batch_seconds,
            resting_keys=list(self._resting),
            limit=self._settings.batch_size,
            careful_attempts=self._settings.careful_attempts,
        )
        # A turn without lanes asks the database nothing, so this is where it shows that it is back.
        if self._trouble.over():
            log.info("turns_recovered")
        self._metrics.claim_duration.observe(time.monotonic() - now)
        if batch:
            self._metrics.batch_size.observe(len(batch))
        return batch

    async def _publish(self, batch: list[OutboxEvent], lanes: dict[int, Held]) -> list[Result]:
        if len(batch) == 1 and exhausted(batch[0], self._settings.max_attempts):
            # The claim gives such an event alone, see careful_attempts.
            reason = f"no answer to {batch[0].attempts - 1} attempts; it may kill the relay"
            return [Result(Answer.PERMANENT, reason)]
        started = time.monotonic()
        # The lease that ends first counts, although its lane may have no event in the batch.
        over = min(held.until for held in lanes.values()) - SAFETY_SECONDS / 2
        results = await self._publisher.publish(
            batch,
            enqueue_until=over - self._settings.message_timeout_ms / 1000,
            settle_until=over,
        )
        self._metrics.publish_duration.observe(time.monotonic() - started)
        now = time.time()
        for item, result in zip(batch, results, strict=True):
            if result.answer is Answer.ACKED:
                self._metrics.commit_to_ack.observe(max(0.0, now - item.created_at.timestamp()))
            else:
                self._metrics.failures.labels(result.answer.value).inc()
        return results

    async def _write_back(
        self, settlement: Settlement, tokens: dict[int, int], stop: asyncio.Event
    ) -> None:
        store, metrics = self._store, self._metrics
        if settlement.sent:
            started = time.monotonic()
            tries, marked = await self._insist(lambda: store.mark(tokens, settlement.sent), stop)
            metrics.mark_duration.observe(time.monotonic() - started)
            lost = len(settlement.sent) - marked
            # After a repeated statement fewer rows may only mean that the first one had worked.
            if lost and tries == 1:
                metrics.lost_marks.inc(lost)
                log.warning("lease_lost_before_mark", events=lost)
            for item in settlement.sent:
                self._topic_failures.pop(item.key, None)
                metrics.published.labels(item.event.type).inc()
        if settlement.refund:
            await self._insist(lambda: store.refund(tokens, settlement.refund), stop)
        metrics.repeats.inc(settlement.repeats)
        now = time.monotonic()
        for key, attempts in settlement.refused.items():
            self._resting[key] = now + pause_seconds(attempts)
            log.warning("event_refused", key=key, attempts=attempts)
        self._rest_topicless(settlement.topicless, now)
        if not settlement.outage:
            # A partition without a leader must not cost every batch its full timeout.
            self._resting |= dict.fromkeys(settlement.unreached, now + pause_seconds(1))
        for item, reason in settlement.park:
            await self._park(tokens, item, reason, stop)

    def _rest_topicless(self, topicless: dict[str, str], now: float) -> None:
        """Longer each time, and without end: that the topic is missing is no event's fault."""
        for key in topicless:
            failures = self._topic_failures[key] = self._topic_failures.get(key, 0) + 1
            self._resting[key] = now + pause_seconds(failures)
        if topicless:
            reasons = sorted(set(topicless.values()))
            log.warning("topic_unavailable", keys=len(topicless), reasons=reasons)

    async def _park(
        self, tokens: dict[int, int], item: OutboxEvent, reason: str, stop: asyncio.Event
    ) -> None:
        _, parked = await self._insist(lambda: self._store.park(tokens, item, reason), stop)
        if parked:
            self._metrics.parked.inc()
            log.error(
                "key_parked",
                key=item.key,
                event_id=item.event.id,
                event_type=item.event.type,
                attempts=item.attempts,
                correlation_id=item.event.correlation_id,
                reason=reason,
            )

    async def _insist(
        self, statement: Callable[[], Awaitable[T]], stop: asyncio.Event
    ) -> tuple[int, T]:
        """Repeat an idempotent statement until the database has answered it.

        What Kafka has taken is known only here: giving up would send all of it again. At shutdown
        one more try is made, then the error is raised.
        """
        tries = 1
        while True:
            try:
                return tries, await statement()
            except _REPEATABLE:
                if stop.is_set():
                    raise
            self._heartbeat.beat()
            tries += 1
            await asyncio.sleep(min(2.0, 0.1 * 2 ** min(tries, 5)))


async def _rest(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
