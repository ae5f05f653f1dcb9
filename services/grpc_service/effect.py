"""What events of resources lead to: a task for each."""

from __future__ import annotations

from collections.abc import Sequence

from services.contracts.envelope import BadEventError, parse
from services.contracts.ids import new_id
from services.contracts.topics import RESOURCE_EVENTS
from services.grpc_service import statements
from services.grpc_service.metrics import TaskMetrics
from services.shared.inbox.records import Message, Record
from services.shared.inbox.resources import resource_record, verb_of
from services.shared.outbox.lanes import lane_of
from services.shared.postgres.database import Connection


def to_record(message: Message) -> Record:
    """The event of a resource that a message stands for. Raises BadEventError when it is none."""
    envelope, payload = parse(message.topic(), message.key(), message.value(), message.headers())
    if envelope.type not in RESOURCE_EVENTS:
        raise BadEventError(f"topic {envelope.type}: no task is made of its events")
    return resource_record(envelope, payload)


class TasksOfEvents:
    """Tasks, each with its task.process event; an Effect. A task's trace is its event's."""

    def __init__(self, metrics: TaskMetrics) -> None:
        self._metrics = metrics

    async def apply(self, connection: Connection, records: Sequence[Record]) -> set[str]:
        """Make those that are not made yet; the ids of their events."""
        resources = sorted({record.aggregate for record in records})
        await connection.execute(statements.QUEUES, resources)
        await connection.execute(statements.LOCK, resources)
        rows = await connection.fetch(
            statements.OF_EVENTS,
            [r.id for r in records],
            [r.aggregate for r in records],
            [verb_of(r.event_type) for r in records],
            [r.payload for r in records],
            [r.correlation_id for r in records],
            [r.traceparent for r in records],
            [new_id() for _ in records],
            [new_id() for _ in records],
            [lane_of(r.aggregate) for r in records],
        )
        for row in rows:
            self._metrics.created.labels(row["action"]).inc()
        return {row["id"] for row in rows}
