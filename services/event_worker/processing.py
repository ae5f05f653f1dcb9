"""What is done with a batch of messages: sort out the bad, store the good, in that order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime

import structlog

from services.contracts.envelope import BadEventError
from services.event_worker.metrics import WorkerMetrics
from services.event_worker.records import Message, Record, to_record
from services.event_worker.store import BadRecordError, EventStore, Tally
from services.shared.kafka.dead_letters import BadMessage
from services.shared.postgres.partitions import id_time
from services.shared.runtime import context
from services.shared.runtime.logging import get_logger
from services.shared.tracing import spans

log = get_logger(__name__)


class Processor:
    """Turns batches into rows of `store`."""

    def __init__(self, store: EventStore, metrics: WorkerMetrics) -> None:
        self._store = store
        self._metrics = metrics

    async def process(self, messages: Sequence[Message]) -> list[BadMessage]:
        """Store what can be stored of `messages` and return the rest.

        One transaction; only when the database refuses some record's content, halves of it until
        that record is alone. Safe to repeat. Raises when the database is away or not migrated yet.
        """
        started = time.monotonic()
        bad: list[BadMessage] = []
        good: list[tuple[Message, Record]] = []
        for message in messages:
            try:
                good.append((message, to_record(message)))
            except BadEventError as error:
                bad.append(BadMessage(message, str(error)))
        if good:
            bad += await self._store_or_refuse(good)
        for refused in bad:
            self._metrics.messages.labels(refused.message.topic(), "dead_letter").inc()
        self._metrics.batch_size.observe(len(messages))
        self._metrics.duration.observe(time.monotonic() - started, spans.exemplar())
        return bad

    async def release_gaps(self, horizon: datetime) -> None:
        """Let go everything held since before `horizon`, and say what was given up for it."""
        while tally := await self._store.release_gaps(horizon):
            self._count(tally)
            self._metrics.gaps.inc(tally.gaps)
            log.warning(
                "missing_events_given_up",
                gaps=tally.gaps,
                resources=sorted({r.resource_id or "" for r in tally.processed})[:20],
            )

    async def _store_or_refuse(self, some: Sequence[tuple[Message, Record]]) -> list[BadMessage]:
        try:
            self._count(await self._stored([record for _, record in some]))
        except BadRecordError as error:
            if len(some) == 1:
                return [BadMessage(some[0][0], f"refused by the database: {error}")]
            middle = len(some) // 2
            return [
                *await self._store_or_refuse(some[:middle]),
                *await self._store_or_refuse(some[middle:]),
            ]
        return []

    async def _stored(self, records: Sequence[Record]) -> Tally:
        with self._metrics.counted("process_batch"):
            return await self._store.process(records)

    def _count(self, tally: Tally) -> None:
        now = time.time()
        for name, records in tally.by_name().items():
            for record in records:
                self._metrics.messages.labels(record.event_type, name).inc()
                # For following one request through; at INFO it would be a line per event.
                log.debug(
                    f"event_{name}",
                    event_id=record.id,
                    event_type=record.event_type,
                    resource_id=record.resource_id,
                    correlation_id=record.correlation_id,
                    traceparent=record.traceparent,
                )
                if name in ("processed", "late"):
                    age = now - id_time(record.id).timestamp()
                    self._metrics.event_age.observe(max(0.0, age))
        for record in tally.late:
            with structlog.contextvars.bound_contextvars(correlation_id=record.correlation_id):
                log.warning(
                    "event_stored_late",
                    event_id=record.id,
                    resource_id=record.resource_id,
                    version=record.version,
                    **context.ids_in(record.traceparent),
                )
