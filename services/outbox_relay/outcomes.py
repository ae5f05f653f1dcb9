"""What becomes of a batch once every send has an answer: a pure decision.

Order per key is kept by one rule: of each key only the events before its first failure are
marked. Events of the key that Kafka took after the failure are sent again later, which the
consumer absorbs by event id.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from services.contracts.envelope import Envelope


class Answer(enum.Enum):
    """What happened to one event of a batch."""

    ACKED = "acked"  # Kafka has it
    NOT_SENT = "not_sent"  # held back or taken back before it left; nobody's fault
    ENVIRONMENT = "environment"  # the cluster or the network failed; may or may not have arrived
    TOPIC = "topic"  # its topic is missing or not ours to write; an operator has to mend that
    REFUSED = "refused"  # an error of this event that a further try may not meet
    PERMANENT = "permanent"  # an error of this event that every try will meet


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """A claimed row of outbox_events; attempts counts the try that is about to be made."""

    event: Envelope
    lane: int
    seq: int
    attempts: int
    created_at: datetime

    @property
    def key(self) -> str:
        return self.event.aggregate_id


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one event and, unless acknowledged, its reason.

    place: the partition that did not take the event, where that is known.
    """

    answer: Answer
    reason: str = ""
    place: Place | None = None


@dataclass(slots=True)
class Settlement:
    """What to write back for a batch.

    sent: mark as processed. refund: give the counted attempt back. refused: attempts of the keys
    whose event was refused, not yet for good. unreached: keys whose broker did not answer while
    others did. topicless: keys whose next event has no topic to go to. All three kinds rest for a
    while. park: move the event to the dead ones and set its key aside.
    """

    sent: list[OutboxEvent] = field(default_factory=list[OutboxEvent])
    refund: list[OutboxEvent] = field(default_factory=list[OutboxEvent])
    refused: dict[str, int] = field(default_factory=dict[str, int])
    unreached: dict[str, Place | None] = field(default_factory=dict[str, Place | None])
    """The partition, where it is known, by key."""
    topicless: dict[str, str] = field(default_factory=dict[str, str])
    """The reason by key."""
    park: list[tuple[OutboxEvent, str]] = field(default_factory=list[tuple[OutboxEvent, str]])
    repeats: int = 0
    """Events that Kafka took but that will be sent again."""
    away: bool = False
    """Some send failed because of the cluster; what was merely not sent does not say that."""

    @property
    def sick(self) -> set[Place]:
        """Partitions that took nothing."""
        return {place for place in self.unreached.values() if place}

    @property
    def outage(self) -> bool:
        """Nothing got through because of the cluster: stop trying for a moment."""
        return self.away and not (self.sent or self.refused or self.topicless or self.park)


def exhausted(event: OutboxEvent, max_attempts: int) -> bool:
    """Whether the event was tried so often without any answer that it must not be tried again.

    Only a process that died, or lost its lease, leaves a try without an answer.
    """
    return event.attempts > max_attempts


def settle(
    batch: Sequence[OutboxEvent], results: Sequence[Result], max_attempts: int
) -> Settlement:
    """Decide over a batch in publishing order, `results` in the same order."""
    settlement = Settlement()
    stopped: set[str] = set()
    for event, result in zip(batch, results, strict=True):
        settlement.away |= result.answer is Answer.ENVIRONMENT
        if event.key in stopped:
            # Behind a failure of its key: whatever became of it, it goes again, and free of charge.
            settlement.refund.append(event)
            settlement.repeats += result.answer is Answer.ACKED
            continue
        match result.answer:
            case Answer.ACKED:
                settlement.sent.append(event)
                continue
            case Answer.NOT_SENT:
                settlement.refund.append(event)
            case Answer.ENVIRONMENT:
                settlement.refund.append(event)
                settlement.unreached[event.key] = result.place
            case Answer.TOPIC:
                settlement.refund.append(event)
                settlement.topicless[event.key] = result.reason
            case Answer.PERMANENT:
                settlement.park.append((event, result.reason))
            case Answer.REFUSED:
                if event.attempts >= max_attempts:
                    reason = f"{result.reason} (after {event.attempts} attempts)"
                    settlement.park.append((event, reason))
                else:
                    settlement.refused[event.key] = event.attempts
        stopped.add(event.key)
    return settlement


def pause_seconds(attempts: int, base: float = 1.0, limit: float = 60.0) -> float:
    """How long a key rests after its n-th failure: 1, 2, 4, … seconds, at most `limit`."""
    return min(limit, base * 2 ** min(attempts - 1, 30))
