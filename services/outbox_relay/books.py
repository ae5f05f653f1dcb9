"""Writes back what became of a batch, and remembers which keys have to rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

import asyncpg

from services.outbox_relay.metrics import RelayMetrics
from services.outbox_relay.outcomes import OutboxEvent, Settlement, pause_seconds
from services.outbox_relay.store import OutboxStore
from services.shared.postgres.database import DatabaseUnavailableError
from services.shared.runtime import context
from services.shared.runtime.heartbeat import Heartbeat
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

T = TypeVar("T")
# Said nothing, or undid the statement for the sake of another: it may be made again.
_REPEATABLE = (
    DatabaseUnavailableError,
    asyncpg.TransactionRollbackError,  # deadlock, serialization
    asyncpg.LockNotAvailableError,
)


class Books:
    """The relay's side of every settlement. `tokens` maps lane to fencing token."""

    def __init__(self, store: OutboxStore, metrics: RelayMetrics, heartbeat: Heartbeat) -> None:
        self._store = store
        self._metrics = metrics
        self._heartbeat = heartbeat
        self._resting: dict[str, float] = {}
        self._topic_failures: dict[str, int] = {}

    def resting(self) -> set[str]:
        """The keys that are not to be tried at this moment."""
        now = time.monotonic()
        self._resting = {key: until for key, until in self._resting.items() if until > now}
        return set(self._resting)

    def rest(self, keys: Iterable[str]) -> None:
        """Keep `keys` from being tried for a second."""
        self._resting |= dict.fromkeys(keys, time.monotonic() + pause_seconds(1))

    async def write_back(
        self, settlement: Settlement, tokens: Mapping[int, int], stop: asyncio.Event
    ) -> None:
        """Mark, refund and park; what was refused, or has no topic, rests."""
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
        self, tokens: Mapping[int, int], item: OutboxEvent, reason: str, stop: asyncio.Event
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
                **context.ids_in(item.event.traceparent),
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
