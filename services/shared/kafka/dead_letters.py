"""Messages that cannot be processed, moved to a topic of their own with the reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from services.contracts.envelope import CORRELATION_ID, EVENT_ID, TRACEPARENT
from services.shared.kafka.client_log import with_log
from services.shared.kafka.clients import Config, is_permanent, is_producer_lost
from services.shared.runtime import context
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

PREFIX = "dead_letter_"


@dataclass(frozen=True, slots=True)
class BadMessage:
    """A message (confluent_kafka.Message) that can never be processed, and why."""

    message: Any
    reason: str


class DeadLetterError(Exception):
    """Not every dead letter was acknowledged; the whole call may be repeated."""


def headers_of(bad: BadMessage) -> list[tuple[str, str | bytes | None]]:
    """The message's own headers, then where it came from and what was wrong with it."""
    own = [(name, value) for name, value in bad.message.headers() or () if name is not None]
    return [*own, *about(bad)]


def about(bad: BadMessage) -> list[tuple[str, str | bytes | None]]:
    """Where a message came from and what was wrong with it; always small."""
    message = bad.message
    facts = {
        "reason": bad.reason[:1000],
        "topic": message.topic(),
        "partition": str(message.partition()),
        "offset": str(message.offset()),
        "timestamp_ms": str(message.timestamp()[1]),
    }
    return [(PREFIX + name, value.encode()) for name, value in facts.items()]


def tell(bad: BadMessage) -> None:
    """Log where a message came from and what was wrong with it."""
    message = bad.message
    headers = dict(message.headers() or ())
    log.error(
        "dead_letter",
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        event_id=_claimed(headers, EVENT_ID),
        correlation_id=_claimed(headers, CORRELATION_ID),
        reason=bad.reason,
        **context.ids_in(headers.get(TRACEPARENT)),
    )


def _claimed(headers: dict[Any, Any], name: str) -> str | None:
    """What a message says of itself."""
    value = headers.get(name)
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    return text and text[:100]


class DeadLetters:
    """A producer for the dead letter topic, made when it is first needed. Blocking; one thread."""

    def __init__(self, config: Callable[[], Config], topic: str) -> None:
        self._config = config
        self._topic = topic
        self._producer: Producer | None = None
        self._lost = False

    def send(self, letters: Sequence[BadMessage], seconds: float) -> None:
        """Produce `letters` and wait at most `seconds` until Kafka has acknowledged each.

        Raises DeadLetterError otherwise; a repeat may then store some of them twice.
        """
        failures: list[KafkaError] = []
        if self._producer is None or self._lost:
            self._lost = False
            self._producer = Producer(with_log(self._config(), self._on_lost))
        for letter in letters:
            self._produce(self._producer, letter, failures)
        deadline = time.monotonic() + seconds
        left = self._producer.flush(seconds)
        if left or failures:
            if left:
                self._producer.purge(in_queue=True, in_flight=True)
                self._producer.flush(1)
            if any(is_producer_lost(error) for error in failures):
                self._producer = None
            reasons = sorted({error.str() for error in failures}) or ["no answer in time"]
            raise DeadLetterError(
                f"{self._topic}: {len(failures) + left} of {len(letters)} dead letters not"
                f" acknowledged within {seconds - max(0.0, deadline - time.monotonic()):.1f} s:"
                f" {'; '.join(reasons)}"
            )

    def _produce(self, producer: Producer, letter: BadMessage, failures: list[KafkaError]) -> None:
        message = letter.message
        headers = headers_of(letter)
        truncated = (PREFIX + "truncated", b"true")
        # From whole to small. The headers say where the message lies for as long as its topic
        # keeps it, and its own headers may be what is too large.
        shapes: list[dict[str, Any]] = [
            {"key": message.key(), "value": message.value(), "headers": headers},
            {"headers": [*headers, truncated]},
            {"headers": [*about(letter), truncated]},
        ]

        def attempt(number: int) -> None:
            def report(error: KafkaError | None, _message: object) -> None:
                if error is None:
                    return
                if is_permanent(error) and number + 1 < len(shapes):
                    attempt(number + 1)
                else:
                    failures.append(error)

            try:
                producer.produce(self._topic, **shapes[number], on_delivery=report)
            except KafkaException as error:
                report(error.args[0], None)

        while True:
            try:
                attempt(0)
            except BufferError:
                producer.poll(0.1)
                continue
            return

    def _on_lost(self) -> None:
        self._lost = True

    def close(self) -> None:
        """Drop the producer; send() has left nothing unanswered in it."""
        self._producer = None
