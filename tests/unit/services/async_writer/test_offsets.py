"""What is committed, and when it is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition

from services.async_writer.offsets import Offsets

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


def messages(place: TopicPartition, *offsets: int) -> list[Any]:
    return [SimpleNamespace(topic=place.topic, partition=place.partition, offset=at)
            for at in offsets]  # fmt: skip


def test_what_is_committed_is_one_past_the_last_of_each_partition():
    offsets = Offsets()
    offsets.done(messages(A, 3, 4, 5) + messages(B, 9))
    assert offsets.take({A, B}) == {A: 6, B: 10}
    assert offsets.take({A, B}) == {}


def test_partitions_that_are_not_ours_are_left_out_and_do_not_hold_the_others_up():
    offsets = Offsets()
    offsets.done(messages(A, 3) + messages(B, 9))
    assert offsets.take({B}) == {B: 10}
    assert offsets.take({A, B}) == {}


def test_what_failed_goes_along_with_the_next_and_never_back():
    offsets = Offsets()
    offsets.done(messages(A, 3) + messages(B, 1))
    taken = offsets.take({A, B})
    offsets.done(messages(A, 4))
    offsets.failed(taken)
    assert offsets.take({A, B}) == {A: 5, B: 2}


def test_what_was_given_away_is_forgotten():
    offsets = Offsets()
    offsets.done(messages(A, 3))
    offsets.clear()
    assert offsets.take({A}) == {}
