"""What becomes of a batch whose sends met different fates."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from services.contracts.envelope import Envelope
from services.contracts.topics import RESOURCE_CREATED
from services.outbox_relay.outcomes import (
    Answer,
    OutboxEvent,
    Place,
    Result,
    exhausted,
    pause_seconds,
    settle,
)

ACKED, NOT_SENT = Result(Answer.ACKED), Result(Answer.NOT_SENT)
AWAY, REFUSED = Result(Answer.ENVIRONMENT, "away"), Result(Answer.REFUSED, "refused")
PERMANENT = Result(Answer.PERMANENT, "too large")
TOPICLESS = Result(Answer.TOPIC, "no such topic")


def batch(keys: str, attempts: int = 1) -> list[OutboxEvent]:
    """One event per letter; the letter is its key."""
    return [
        OutboxEvent(
            event=Envelope(f"id-{n}", RESOURCE_CREATED, key, n, "{}"),
            lane=0,
            seq=n,
            attempts=attempts,
            created_at=datetime.now(UTC),
        )
        for n, key in enumerate(keys)
    ]


def seqs(events: list[OutboxEvent]) -> list[int]:
    return [event.seq for event in events]


def test_a_batch_that_went_through_is_marked_whole() -> None:
    settled = settle(batch("abab"), [ACKED] * 4, 10)
    assert seqs(settled.sent) == [0, 1, 2, 3]
    assert not (settled.refund)
    assert not (settled.refused)
    assert not (settled.park)
    assert not (settled.outage)


@pytest.mark.parametrize("failure", [NOT_SENT, AWAY, TOPICLESS, REFUSED, PERMANENT])
def test_of_each_key_only_what_precedes_its_first_failure_is_marked(failure: Result) -> None:
    settled = settle(batch("abaab"), [ACKED, ACKED, failure, ACKED, ACKED], 10)
    assert seqs(settled.sent) == [0, 1, 4]
    assert 3 in seqs(settled.refund)
    assert settled.repeats == 1


def test_a_permanent_error_parks_its_event_at_the_first_try() -> None:
    settled = settle(batch("ab"), [PERMANENT, ACKED], 10)
    assert [(event.key, reason) for event, reason in settled.park] == [("a", "too large")]
    assert seqs(settled.sent) == [1]


def test_a_refused_event_rests_until_its_attempts_are_used_up() -> None:
    assert settle(batch("a", attempts=9), [REFUSED], 10).refused == {"a": 9}
    settled = settle(batch("a", attempts=10), [REFUSED], 10)
    assert settled.refused == {}
    assert settled.park[0][1] == "refused (after 10 attempts)"


def test_kafkas_absence_is_never_counted_and_never_parks() -> None:
    settled = settle(batch("ab", attempts=10_000), [AWAY, NOT_SENT], 10)
    assert seqs(settled.refund) == [0, 1]
    assert settled.park == []
    assert settled.outage


def test_one_unreachable_partition_is_named_and_is_no_outage() -> None:
    place = Place(RESOURCE_CREATED, 3)
    settled = settle(
        batch("abc"), [Result(Answer.ENVIRONMENT, "timed out", place), ACKED, AWAY], 10
    )
    assert settled.unreached == {"a": place, "c": None}
    assert settled.sick == {place}
    assert not settled.outage


def test_a_missing_topic_is_never_counted_never_parks_and_is_no_outage() -> None:
    settled = settle(batch("aab", attempts=10_000), [TOPICLESS, NOT_SENT, TOPICLESS], 10)
    assert seqs(settled.refund) == [0, 1, 2]
    assert settled.topicless == {"a": "no such topic", "b": "no such topic"}
    assert settled.park == []
    assert not settled.outage


def test_a_batch_that_was_merely_not_sent_is_no_outage() -> None:
    settled = settle(batch("ab"), [NOT_SENT, NOT_SENT], 10)
    assert seqs(settled.refund) == [0, 1]
    assert not settled.outage


def test_events_behind_a_failure_get_their_attempt_back() -> None:
    settled = settle(batch("aaa"), [REFUSED, NOT_SENT, ACKED], 10)
    assert seqs(settled.refund) == [1, 2]


@pytest.mark.parametrize("seed", range(200))
def test_for_any_answers_every_event_is_settled_once_and_marks_are_prefixes(seed: int) -> None:
    choice = random.Random(seed)
    failures = [NOT_SENT, AWAY, TOPICLESS, REFUSED, PERMANENT]
    events = batch("".join(choice.choice("abcde") for _ in range(40)))
    results = [choice.choice([ACKED] * 6 + failures) for _ in events]
    settled = settle(events, results, 10)
    parked = [event.seq for event, _ in settled.park]
    resting = [
        next(e.seq for e, r in zip(events, results, strict=True) if e.key == key and r is REFUSED)
        for key in settled.refused
    ]
    assert sorted(seqs(settled.sent) + seqs(settled.refund) + parked + resting) == list(range(40))
    for key in "abcde":
        of_key = [(e.seq, r) for e, r in zip(events, results, strict=True) if e.key == key]
        marked = [seq for seq in seqs(settled.sent) if events[seq].key == key]
        assert marked == [seq for seq, _ in of_key[: len(marked)]]
        assert all(result is ACKED for _, result in of_key[: len(marked)])
        if len(marked) < len(of_key):
            assert of_key[len(marked)][1] is not ACKED


def test_only_more_tries_than_allowed_without_an_answer_exhaust_an_event() -> None:
    assert not exhausted(batch("a", attempts=10)[0], 10)
    assert exhausted(batch("a", attempts=11)[0], 10)


def test_a_resting_key_waits_longer_each_time_up_to_a_limit() -> None:
    assert [pause_seconds(n) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert pause_seconds(1000) == 60
