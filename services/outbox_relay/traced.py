"""The events of a batch in the traces of the requests that left them in the outbox."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, Message

from services.contracts.envelope import Envelope
from services.outbox_relay.outcomes import OutboxEvent
from services.shared.tracing import lines, spans

if TYPE_CHECKING:
    from opentelemetry.trace import Span


class SendSpans:
    """Of one batch, by place: each from its handing over until Kafka has said what became of it."""

    def __init__(self) -> None:
        self._open: dict[int, Span] = {}

    def begin(self, index: int, item: OutboxEvent) -> Envelope:
        """The event as it is to be sent: below its sending, if that is recorded."""
        event = item.event
        origin = spans.recorded(event.traceparent)
        if origin is None:
            return event
        span = self._open.get(index)  # there already when the client's queue was full
        if span is None:
            about = {
                "messaging.message.id": event.id,
                "messaging.kafka.message.key": event.aggregate_id,
                "millrace.outbox.seconds": max(0.0, time.time() - item.created_at.timestamp()),
                "millrace.outbox.attempts": item.attempts,
            }
            span = self._open[index] = spans.outgoing(origin, "kafka", event.type, about)
        return replace(event, traceparent=spans.passed_on(span, str(event.traceparent)))

    def end(self, index: int, error: KafkaError | None, message: Message | None = None) -> None:
        """What became of one."""
        span = self._open.pop(index, None)
        if span is None:
            return
        if error is not None:
            spans.fail(span, error.name())
        elif message is not None:
            lines.tell("sent", span, what=message.topic())
            span.set_attribute("messaging.destination.partition.id", str(message.partition()))
            span.set_attribute("messaging.kafka.offset", message.offset() or 0)
        spans.end(span)

    def give_up(self) -> None:
        """Those without an answer."""
        for span in self._open.values():
            spans.fail(span, "unanswered")
            spans.end(span)
        self._open.clear()
