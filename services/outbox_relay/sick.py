"""Topic partitions that take nothing: which they are, and when each is tried again.

A partition without a leader, or with fewer replicas in sync than the topic demands, answers no
send before the message times out. Pure state; what the relay does about it is in detour.py.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import murmur2

from services.outbox_relay.outcomes import Place, pause_seconds
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

Leaders = Mapping[str, Sequence[bool]]
"""Per topic, for each of its partitions, whether it has a leader."""

# A partition that takes anything mostly does so at once, and the healthy ones wait meanwhile. One
# that is merely slow would stay sick for ever if it never got the time that a batch has.
_TRY_SECONDS = 1.0
_LONG_TRY = 4  # each time after so many failures

LONGEST_PAUSE = 15.0
"""Seconds between two tries of a partition; also the longest that it stays unused once healed."""


def leaderless(leaders: Leaders, topics: Iterable[str]) -> set[Place]:
    """The partitions of `topics` that have no leader."""
    return {
        Place(topic, number)
        for topic in topics
        for number, led in enumerate(leaders.get(topic, ()))
        if not led
    }


@dataclass(slots=True)
class _Rest:
    failures: int
    until: float
    probe: str | None = None


class SickPartitions:
    """The partitions that events go around. Falsy while there are none.

    Times are monotonic seconds. The partition of a key is murmur2(key) over the topic's count of
    partitions, see producer_config().
    """

    def __init__(self) -> None:
        self._rests: dict[Place, _Rest] = {}
        self._counts: dict[str, int] = {}
        self.freed = 0
        """Rises whenever events that were passed for the sake of a place may be wanted again."""

    def __len__(self) -> int:
        return len(self._rests)

    def fell(self, places: Iterable[Place], leaders: Leaders, now: float) -> None:
        """Note that `places` took nothing; each rests, longer every time."""
        for place in places:
            if place.partition >= len(leaders.get(place.topic, ())):
                continue
            rest = self._rests.setdefault(place, _Rest(0, now))
            if not rest.failures:
                log.warning("partition_sick", topic=place.topic, partition=place.partition)
            self._counts[place.topic] = len(leaders[place.topic])
            rest.failures += 1
            rest.until = now + pause_seconds(rest.failures, limit=LONGEST_PAUSE)

    def healed(self, places: Collection[Place], now: float) -> None:
        """Note that `places` have answered; the others are then worth a try at once."""
        for place in places:
            if self._rests.pop(place, None):
                self.freed += 1
                log.info("partition_back", topic=place.topic, partition=place.partition)
        if places:
            for rest in self._rests.values():
                rest.until = now

    def retract(self, places: Iterable[Place]) -> None:
        """Note that the events offered to try `places` are not there to be sent."""
        for place in places:
            self._rests[place].probe = None
            self.freed += 1

    def place_of(self, topic: str, key: str) -> Place | None:
        """Where an event goes, if that is a sick partition."""
        count = self._counts.get(topic)
        if not count:
            return None
        place = Place(topic, murmur2(key.encode(), count))
        return place if place in self._rests else None

    def concerns(self, key: str) -> bool:
        """Whether events of `key` go to a sick partition in any topic."""
        return any(self.place_of(topic, key) for topic in self._counts)

    def offer(self, place: Place, event_id: str) -> None:
        """Name an event that may be sent to try `place`: the first unsent one of its key."""
        rest = self._rests[place]
        rest.probe = rest.probe or event_id

    def due(self, now: float) -> list[Place]:
        """The places whose rest is over."""
        return [place for place, rest in self._rests.items() if rest.until <= now]

    def patience(self, places: Iterable[Place]) -> float:
        """For how many seconds to wait for the answers when `places` are tried."""
        long = any(self._rests[place].failures % _LONG_TRY == 0 for place in places)
        return math.inf if long else _TRY_SECONDS

    def examine(self, leaders: Leaders, now: float) -> dict[str, Place]:
        """Of the places whose rest is over, those that only a send can tell about, by event id.

        A place without a leader goes on resting. One that no event waits for, or whose topic has
        another count of partitions than before, is sick no more for all we know.
        """
        probes: dict[str, Place] = {}
        for place in self.due(now):
            led, probe = leaders.get(place.topic, ()), self._rests[place].probe
            if len(led) != self._counts[place.topic] or probe is None:
                del self._rests[place]
                self.freed += 1
            elif led[place.partition]:
                probes[probe] = place
            else:
                self.fell([place], leaders, now)
        return probes
