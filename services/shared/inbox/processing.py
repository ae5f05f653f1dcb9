"""What is done with a batch of messages: sort out the bad, have the effect of the good."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from services.contracts.envelope import BadEventError
from services.shared.inbox.metrics import Metrics, counted
from services.shared.inbox.records import Message, Record
from services.shared.inbox.store import BadRecordError, Inbox
from services.shared.inbox.tally import Tally
from services.shared.kafka.dead_letters import BadMessage
from services.shared.postgres.partitions import id_time
from services.shared.runtime import context
from services.shared.runtime.logging import get_logger
from services.shared.tracing import spans

log = get_logger(__name__)


class Processor:
    """Brings batches into `inbox`.

    to_record: what a message stands for. Raises BadEventError when that is nothing.
    """

    def __init__(
        self, inbox: Inbox, metrics: Metrics, to_record: Callable[[Message], Record]
    ) -> None:
        self._inbox = inbox
        self._metrics = metrics
        self._to_record = to_record

    async def process(self, messages: Sequence[Message]) -> list[BadMessage]:
        """Have the effect of those of `messages` that can have one, and return the rest.

        One transaction; only when the database refuses some record's content, halves of it until
        that record is alone. Safe to repeat. Raises when the database is away or not migrated yet.
        """
        started = time.monotonic()
        bad: list[BadMessage] = []
        good: list[tuple[Message, Record]] = []
        for message in messages:
            try:
                good.append((message, self._to_record(message)))
            except BadEventError as error:
                bad.append(BadMessage(message, str(error)))
        if good:
            bad += await self._store_or_refuse(good)
        for refused in bad:
            self._metrics.messages.labels(refused.message.topic(), "dead_letter").inc()
        self._metrics.inbox.batch_size.observe(len(messages))
        self._metrics.duration.observe(time.monotonic() - started, spans.exemplar())
        return bad

    async def release_gaps(self, horizon: datetime) -> None:
        """Let go everything held since before `horizon`, and say what was given up for it."""
        while tally := await self._inbox.release_gaps(horizon):
            self._count(tally)
            self._metrics.inbox.gaps.inc(tally.gaps)
            log.warning(
                "missing_events_given_up",
                gaps=tally.gaps,
                aggregates=sorted({r.aggregate for r in tally.processed})[:20],
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
        with counted(self._metrics.database, "process_batch"):
            return await self._inbox.process(records)

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
                    aggregate=record.aggregate,
                    correlation_id=record.correlation_id,
                    traceparent=record.traceparent,
                )
                if name in ("processed", "late"):
                    age = now - id_time(record.id).timestamp()
                    self._metrics.inbox.event_age.observe(max(0.0, age))
        for record in tally.late:
            with structlog.contextvars.bound_contextvars(correlation_id=record.correlation_id):
                log.warning(
                    "event_came_late",
                    event_id=record.id,
                    aggregate=record.aggregate,
                    version=record.version,
                    **context.ids_in(record.traceparent),
                )
