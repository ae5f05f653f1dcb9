"""Messages of aiokafka on their way to the dead letters, which another client sends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from services.shared.kafka.consumer_metrics import ConsumerMetrics
from services.shared.kafka.dead_letters import BadMessage, DeadLetters, tell

_ANSWER_SECONDS = 10.0


class Letter:
    """A ConsumerRecord that is asked as confluent_kafka.Message is."""

    def __init__(self, record: Any) -> None:
        self._record = record

    def topic(self) -> str:
        return self._record.topic

    def partition(self) -> int:
        return self._record.partition

    def offset(self) -> int:
        return self._record.offset

    def timestamp(self) -> tuple[int, int]:
        """Its kind and milliseconds."""
        return self._record.timestamp_type, self._record.timestamp

    def key(self) -> bytes | None:
        return self._record.key

    def value(self) -> bytes | None:
        return self._record.value

    def headers(self) -> list[tuple[str, bytes | None]]:
        return list(self._record.headers)


class Outbox:
    """Sends dead letters with the producer that every consumer has for them, in a thread.

    Its partitioner, its rules for letters that are too large and its headers are those of all
    others. `most` are on their way at a time.
    """

    def __init__(self, letters: DeadLetters, metrics: ConsumerMetrics, most: int) -> None:
        self._letters = letters
        self._metrics = metrics
        self._most = most

    async def send(self, bad: Sequence[BadMessage]) -> None:
        """Return when Kafka has acknowledged all of them.

        Raises DeadLetterError otherwise; a repeat may then store some of them twice.
        """
        for start in range(0, len(bad), self._most):
            some = bad[start : start + self._most]
            await asyncio.to_thread(self._letters.send, some, _ANSWER_SECONDS)
            for letter in some:
                tell(letter)
                self._metrics.dead_letters.labels(letter.message.topic()).inc()

    async def close(self) -> None:
        await asyncio.to_thread(self._letters.close)
