"""What the group has consumed of its topics, by the word of the brokers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from services.shared.kafka.client_log import with_log
from services.shared.kafka.clients import Config

Place = tuple[str, int]
"""Topic and partition."""

# Of one question. The service's stop waits for the one that is being asked.
_ANSWER_SECONDS = 5.0


class NoEvidenceError(Exception):
    """The brokers do not say, or not for every partition; whatever is asked, the answer is no."""


class Consumed:
    """Asks with a client that reads nothing and joins no group, made anew for each question.

    `config`: a consumer's, with the group whose offsets count. Blocking; for a thread. The cached
    ends of partitions that the consuming client knows would not do: they are as old as its last
    fetch, and those of partitions that another member owns are not among them.
    """

    def __init__(self, config: Callable[[], Config], topics: Sequence[str]) -> None:
        self._config = config
        self._topics = topics

    def ends(self) -> dict[Place, int]:
        """The offsets at which the partitions of all topics end now. Raises NoEvidenceError.

        So it does while a partition lacks a replica: it may refuse writes then, and what a
        producer keeps for it until it takes them again has no offset yet.
        """
        with self._client() as client:
            places = [place for topic in self._topics for place in _partitions(client, topic)]
            return {place: _range(client, place)[1] for place in places}

    def left(self, ends: Mapping[Place, int]) -> dict[Place, int]:
        """The partitions not consumed up to `ends`, with the number of messages that are left.

        Consumed is what the group has committed, which it does after the database has stored it,
        and what the topic no longer keeps. Raises NoEvidenceError.
        """
        with self._client() as client:
            asked = client.committed([TopicPartition(*at) for at in ends], timeout=_ANSWER_SECONDS)
            for found in asked:
                if found.error is not None:
                    raise KafkaException(found.error)
            committed = {(found.topic, found.partition): found.offset for found in asked}
            return dict(_left(client, committed, ends))

    @contextmanager
    def _client(self) -> Iterator[Consumer]:
        try:
            client = Consumer(with_log(self._config()))
            try:
                yield client
            finally:
                client.close()
        except KafkaException as error:
            raise NoEvidenceError(f"the brokers do not answer: {error.args[0].str()}") from error


def _left(
    client: Consumer, committed: Mapping[Place, int], ends: Mapping[Place, int]
) -> Iterable[tuple[Place, int]]:
    for place, end in ends.items():
        if committed[place] >= end:
            continue
        low, high = _range(client, place)
        # A topic that was made anew has nothing left of what was there before. Without a
        # committed offset (a negative number) the group begins with the oldest message.
        left = min(end, high) - max(committed[place], low)
        if left > 0:
            yield place, left


def _partitions(client: Consumer, topic: str) -> Iterator[Place]:
    metadata: Any = client.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    for number, partition in metadata.partitions.items():
        present, wanted = len(partition.isrs), len(partition.replicas)
        if present < wanted:
            raise NoEvidenceError(f"{topic}/{number}: {present} of {wanted} replicas are in sync")
        yield topic, number


def _range(client: Consumer, place: Place) -> tuple[int, int]:
    found = client.get_watermark_offsets(TopicPartition(*place), timeout=_ANSWER_SECONDS)
    if found is None:
        raise NoEvidenceError(f"{place[0]}/{place[1]}: its end is not known")
    return found
