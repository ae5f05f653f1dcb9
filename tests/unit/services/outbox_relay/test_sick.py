"""Which partitions are sick, and when each is tried again."""

from __future__ import annotations

import math

import pytest
from confluent_kafka import murmur2

from services.contracts.topics import RESOURCE_CREATED, RESOURCE_UPDATED
from services.outbox_relay.outcomes import Place
from services.outbox_relay.sick import SickPartitions, leaderless

TOPIC, OTHER = RESOURCE_CREATED, RESOURCE_UPDATED
LEADERS = {TOPIC: [True] * 6, OTHER: [True] * 4}


def key_on(partition: int, count: int = 6) -> str:
    return next(key for key in map(str, range(1000)) if murmur2(key.encode(), count) == partition)


@pytest.fixture
def sick() -> SickPartitions:
    made = SickPartitions()
    made.fell([Place(TOPIC, 3)], LEADERS, 0)
    return made


def test_only_the_events_that_go_there_have_a_sick_place(sick: SickPartitions) -> None:
    assert sick.place_of(TOPIC, key_on(3)) == Place(TOPIC, 3)
    assert sick.place_of(TOPIC, key_on(2)) is None
    assert sick.place_of(OTHER, key_on(3)) is None
    assert sick.concerns(key_on(3))
    assert not sick.concerns(key_on(2))


def test_the_metadata_names_the_partitions_of_a_topic_that_have_no_leader() -> None:
    leaders = {TOPIC: [True, False, False], OTHER: [False]}
    assert leaderless(leaders, [TOPIC, "unheard-of"]) == {Place(TOPIC, 1), Place(TOPIC, 2)}


def test_a_place_rests_longer_each_time_up_to_a_limit(sick: SickPartitions) -> None:
    pauses: list[float] = []
    now = 0.0
    for _ in range(7):
        until = next(t / 2 for t in range(1000) if sick.due(now + t / 2))
        pauses.append(until)
        now += until
        sick.fell([Place(TOPIC, 3)], LEADERS, now)
    assert pauses == [1, 2, 4, 8, 15, 15, 15]


def test_a_place_is_tried_with_the_first_event_it_was_offered(sick: SickPartitions) -> None:
    sick.offer(Place(TOPIC, 3), "first")
    sick.offer(Place(TOPIC, 3), "second")
    assert sick.examine(LEADERS, 0.9) == {}
    assert sick.examine(LEADERS, 1) == {"first": Place(TOPIC, 3)}


def test_without_a_leader_no_event_is_needed_to_tell(sick: SickPartitions) -> None:
    sick.offer(Place(TOPIC, 3), "first")
    leaderless = {TOPIC: [True, True, True, False, True, True]}
    assert sick.examine(leaderless, 1) == {}
    assert sick.due(2.9) == []
    assert sick.examine(LEADERS, 3) == {"first": Place(TOPIC, 3)}


@pytest.mark.parametrize("leaders", [{TOPIC: [True] * 7}, {}])
def test_a_place_whose_topic_changed_is_forgotten(
    sick: SickPartitions, leaders: dict[str, list[bool]]
) -> None:
    sick.offer(Place(TOPIC, 3), "first")
    assert sick.examine(leaders, 1) == {}
    assert not sick


def test_a_place_that_no_event_waits_for_is_forgotten(sick: SickPartitions) -> None:
    sick.offer(Place(TOPIC, 3), "gone")
    sick.retract([Place(TOPIC, 3)])
    assert sick.examine(LEADERS, 1) == {}
    assert not sick


def test_every_fourth_try_takes_as_long_as_a_slow_partition_needs(sick: SickPartitions) -> None:
    place = Place(TOPIC, 3)
    waits: list[float] = []
    for _ in range(8):
        waits.append(sick.patience([place]))
        sick.fell([place], LEADERS, 0)
    assert waits == [1, 1, 1, math.inf] * 2


def test_once_one_place_is_back_the_others_are_tried_at_once(sick: SickPartitions) -> None:
    sick.fell([Place(OTHER, 0)], LEADERS, 0)
    sick.fell([Place(OTHER, 0)], LEADERS, 0)
    sick.healed([Place(TOPIC, 3)], 1)
    assert sick.due(1) == [Place(OTHER, 0)]
    assert sick.place_of(TOPIC, key_on(3)) is None
