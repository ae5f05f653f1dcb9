"""The relay's loop: claim a batch, publish it, wait for every answer, mark it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Collection, Mapping

from services.outbox_relay.backoff import Backoff
from services.outbox_relay.books import Books
from services.outbox_relay.detour import Detour
from services.outbox_relay.leases import Lease, Leases
from services.outbox_relay.metrics import RelayMetrics
from services.outbox_relay.outcomes import (
    Answer,
    OutboxEvent,
    Result,
    Settlement,
    exhausted,
    settle,
)
from services.outbox_relay.publisher import Publisher
from services.outbox_relay.settings import SAFETY_SECONDS, RelaySettings
from services.outbox_relay.sick import SickPartitions, leaderless
from services.outbox_relay.store import OutboxStore
from services.shared.outbox.wake import Wake
from services.shared.postgres.database import DatabaseUnavailableError
from services.shared.runtime.heartbeat import Heartbeat
from services.shared.runtime.logging import get_logger
from services.shared.runtime.trouble import Trouble
from services.shared.tracing import spans

log = get_logger(__name__)

_OUTAGE_PAUSES = (0.1, 0.25, 0.5)  # and each look at Kafka waits a second for it to answer


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
        self._backoff = Backoff(settings.poll_min_seconds, settings.poll_max_seconds)
        self._books = Books(store, metrics, heartbeat)
        self._sick = SickPartitions()
        self._detour = Detour(self._sick)
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
        if self._outages and await self._publisher.leaders() is None:
            return await self._sit_out(stop)
        lanes = self._leases.usable(self._settings.batch_seconds)
        if not lanes:
            return self._backoff.after_nothing()
        started = time.monotonic()
        if self._sick.due(started):
            await self._probe(lanes, stop)
            lanes = self._leases.usable(self._settings.batch_seconds)
        batch = await self._claim(lanes)
        more = len(batch) == self._settings.batch_size or (self._sick and self._detour.moved)
        if not batch:
            return 0 if more else self._backoff.after_nothing()
        settlement = await self._send(batch, lanes, stop)
        if settlement.away and not await self._find_sick(settlement):
            if settlement.outage:
                return await self._sit_out(stop)
            self._books.rest(settlement.unreached)
        if self._outages:
            log.info("kafka_available")
        self._outages = 0
        pause = self._backoff.after_work()
        if more:
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

    async def _claim(self, lanes: dict[int, Lease]) -> list[OutboxEvent]:
        now = time.monotonic()
        tokens, settings = _tokens(lanes), self._settings
        claim = self._claim_around_sick if self._sick else self._store.claim
        batch = await claim(
            tokens,
            lease_left=settings.batch_seconds,
            resting_keys=self._books.resting(),
            limit=settings.batch_size,
            careful_attempts=settings.careful_attempts,
        )
        # A turn without lanes asks the database nothing, so this is where it shows that it is back.
        if self._trouble.over():
            log.info("turns_recovered")
        self._metrics.claim_duration.observe(time.monotonic() - now)
        if batch:
            self._metrics.batch_size.observe(len(batch))
        return batch

    async def _claim_around_sick(
        self,
        tokens: Mapping[int, int],
        *,
        lease_left: float,
        resting_keys: Collection[str],
        limit: int,
        careful_attempts: int,
    ) -> list[OutboxEvent]:
        """OutboxStore.claim() in two steps: only the relay knows an event's partition."""
        after = self._detour.cursors(tokens)
        look = await self._store.look(tokens, after, lease_left=lease_left)
        chosen = self._detour.choose(
            look, resting_keys, limit=limit, careful_attempts=careful_attempts
        )
        return await self._store.take(tokens, chosen, lease_left=lease_left) if chosen else []

    async def _find_sick(self, settlement: Settlement) -> bool:
        """Whether the cluster is there and only partitions of it are not, which are then known."""
        leaders = await self._publisher.leaders() if settlement.sick else None
        if leaders is None:
            return False
        # The others without a leader need not cost a batch each.
        sick = settlement.sick | leaderless(leaders, {place.topic for place in settlement.sick})
        self._sick.fell(sick, leaders, time.monotonic())
        self._metrics.sick_partitions.set(len(self._sick))
        return True

    async def _probe(self, lanes: dict[int, Lease], stop: asyncio.Event) -> None:
        """Try every sick partition whose rest is over, with one event."""
        leaders = await self._publisher.leaders()
        if leaders is None:
            return
        probes = self._sick.examine(leaders, time.monotonic())
        batch: list[OutboxEvent] = []
        if probes:
            batch = await self._store.take(
                _tokens(lanes), list(probes), lease_left=self._settings.batch_seconds
            )
        taken = {item.event.id for item in batch}
        gone = [place for event_id, place in probes.items() if event_id not in taken]
        self._sick.retract(gone)
        if batch:
            at_most = self._sick.patience(probes.values())
            settlement = await self._send(batch, lanes, stop, at_most=at_most)
            refused = {item.event.id for item in settlement.refund}
            now = time.monotonic()
            self._sick.fell([probes[event_id] for event_id in taken & refused], leaders, now)
            self._sick.healed([probes[event_id] for event_id in taken - refused], now)
        self._metrics.sick_partitions.set(len(self._sick))

    async def _send(
        self,
        batch: list[OutboxEvent],
        lanes: dict[int, Lease],
        stop: asyncio.Event,
        *,
        at_most: float = math.inf,
    ) -> Settlement:
        """Publish and write back; after `at_most` seconds the answers still out are given up."""
        results = await self._publish(batch, lanes, at_most)
        settlement = settle(batch, results, self._settings.max_attempts)
        await self._books.write_back(settlement, _tokens(lanes), stop)
        return settlement

    async def _publish(
        self, batch: list[OutboxEvent], lanes: dict[int, Lease], at_most: float
    ) -> list[Result]:
        if len(batch) == 1 and exhausted(batch[0], self._settings.max_attempts):
            # The claim gives such an event alone, see careful_attempts.
            reason = f"no answer to {batch[0].attempts - 1} attempts; it may kill the relay"
            return [Result(Answer.PERMANENT, reason)]
        started = time.monotonic()
        # The lease that ends first counts, although its lane may have no event in the batch.
        over = min(lease.until for lease in lanes.values()) - SAFETY_SECONDS / 2
        results = await self._publisher.publish(
            batch,
            enqueue_until=over - self._settings.message_timeout_ms / 1000,
            settle_until=min(over, started + at_most),
        )
        self._metrics.publish_duration.observe(time.monotonic() - started)
        now = time.time()
        for item, result in zip(batch, results, strict=True):
            if result.answer is Answer.ACKED:
                age = max(0.0, now - item.created_at.timestamp())
                self._metrics.commit_to_ack.observe(age, spans.exemplar_of(item.event.traceparent))
            else:
                self._metrics.failures.labels(result.answer.value).inc()
        return results


def _tokens(lanes: Mapping[int, Lease]) -> dict[int, int]:
    return {lane: lease.token for lane, lease in lanes.items()}


async def _rest(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
