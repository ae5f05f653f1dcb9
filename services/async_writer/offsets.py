"""Up to where each partition is done, and what of that Kafka has not been told."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from aiokafka import TopicPartition


class Offsets:
    """The next offset of each partition, from done() until a commit has taken it along."""

    def __init__(self) -> None:
        self._next: dict[TopicPartition, int] = {}

    def done(self, messages: Iterable[Any]) -> None:
        """Note messages (ConsumerRecord) of which nothing is left to do."""
        self._raise({place_of(message): message.offset + 1 for message in messages})

    def take(self, assigned: Container[TopicPartition]) -> dict[TopicPartition, int]:
        """What is to be committed now. Of partitions that are not ours nothing is: a request that
        names one is refused as a whole."""
        taken = {place: at for place, at in self._next.items() if place in assigned}
        self._next.clear()
        return taken

    def failed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Put back what take() gave and was not committed: it goes along with the next."""
        self._raise(offsets)

    def clear(self) -> None:
        """Forget all of it: the partitions are another member's."""
        self._next.clear()

    def _raise(self, offsets: Mapping[TopicPartition, int]) -> None:
        for place, at in offsets.items():
            self._next[place] = max(at, self._next.get(place, 0))


def place_of(message: Any) -> TopicPartition:
    return TopicPartition(message.topic, message.partition)
