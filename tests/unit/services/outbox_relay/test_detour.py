"""What can go while partitions are sick, and how far the relay reads on."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from confluent_kafka import murmur2

from services.outbox_relay.detour import Detour, Look, Waiting
from services.outbox_relay.outcomes import Place
from services.outbox_relay.sick import SickPartitions

SICK, WELL = "sick.topic", "well.topic"
TOKENS = {0: 1}


@pytest.fixture
def sick() -> SickPartitions:
    made = SickPartitions()
    made.fell([Place(SICK, 0)], {SICK: [True]}, 0)
    return made


def events(*what: tuple[str, str], lane: int = 0) -> list[Waiting]:
    """One event per topic and key, seq from 1."""
    return [
        Waiting(f"id-{seq}", lane, seq, key, topic, 0, parked=False)
        for seq, (topic, key) in enumerate(what, 1)
    ]


def choose(
    detour: Detour, rows: list[Waiting], *, now: int = 1, limit: int = 500, resting: str = ""
) -> list[str]:
    """What can go of all that is unsent, at a moment when nobody else writes."""
    after = detour.cursors(TOKENS)[0]
    seen = [event for event in rows if event.seq > after]
    return detour.choose(Look(seen, now, now), set(resting), limit=limit, careful_attempts=3)


def test_others_go_and_no_event_overtakes_one_of_its_key(sick: SickPartitions) -> None:
    rows = events((SICK, "a"), (WELL, "b"), (WELL, "a"), (WELL, "c"), (SICK, "c"), (WELL, "c"))
    assert choose(Detour(sick), rows) == ["id-2", "id-4"]


def test_what_waits_is_not_read_again(sick: SickPartitions) -> None:
    detour = Detour(sick)
    rows = events(*[(SICK, str(n)) for n in range(100)])
    choose(detour, rows)
    choose(detour, rows)
    assert detour.cursors(TOKENS) == [100]
    later = [Waiting("again", 0, 101, "7", WELL, 0, parked=False)]
    assert choose(detour, later) == []


def test_an_event_that_can_go_is_never_passed(sick: SickPartitions) -> None:
    detour = Detour(sick)
    rows = events((SICK, "a"), (WELL, "b"), (SICK, "c"))
    for _ in range(3):
        assert choose(detour, rows) == ["id-2"]
    assert detour.cursors(TOKENS) == [1]
    del rows[1]
    choose(detour, rows)
    assert detour.cursors(TOKENS) == [3]


def test_nothing_is_passed_while_a_transaction_may_still_bring_a_lower_number(
    sick: SickPartitions,
) -> None:
    detour = Detour(sick)
    rows = events((WELL, "late"), (SICK, "a"))
    for oldest in (10, 10, 11):  # transaction 10 has number 1 and has not committed
        detour.cursors(TOKENS)
        look = Look(rows[1:], oldest, 12)
        assert detour.choose(look, [], limit=500, careful_attempts=3) == []
        assert detour.cursors(TOKENS) == [0]
    assert detour.choose(Look(rows, 12, 12), [], limit=500, careful_attempts=3) == ["id-1"]


def test_a_lane_that_was_away_is_read_from_its_front(sick: SickPartitions) -> None:
    detour = Detour(sick)
    rows = events((SICK, "a"))
    choose(detour, rows)
    choose(detour, rows)
    assert detour.cursors(TOKENS) == [1]
    assert detour.cursors({0: 2}) == [0]


def test_parked_and_resting_keys_are_passed_and_looked_at_again_after_a_time(
    sick: SickPartitions,
) -> None:
    now = [0.0]
    detour = Detour(sick, clock=lambda: now[0])
    rows = [
        Waiting("parked", 0, 1, "p", WELL, 9, parked=True),
        Waiting("rests", 0, 2, "r", WELL, 2, parked=False),
    ]
    for _ in range(2):
        assert choose(detour, rows, resting="r") == []
    assert detour.cursors(TOKENS) == [2]
    # Its key could go by now, but what was passed goes first.
    assert choose(detour, [Waiting("next", 0, 3, "r", WELL, 0, parked=False)]) == []
    now[0] = 16
    assert choose(detour, rows) == ["rests"]


@pytest.mark.parametrize("how", ["changed", "healed", "retracted"])
def test_what_was_passed_is_read_again_as_soon_as_its_place_is_free(
    sick: SickPartitions, how: str
) -> None:
    other = Place("other.topic", 0)
    sick.fell([other], {other.topic: [True]}, 0)
    detour = Detour(sick, most_keys=0)
    rows = events((SICK, "a"))
    for _ in range(2):
        assert choose(detour, rows) == []
    assert detour.cursors(TOKENS) == [1]
    match how:
        case "changed":
            sick.examine({SICK: [True, True]}, 1)
        case "healed":
            sick.healed([Place(SICK, 0)], 1)
        case _:
            sick.retract([Place(SICK, 0)])
            assert sick.examine({SICK: [True], other.topic: [False]}, 1) == {}
    # Whatever happens to whoever noticed: a later event of the key must not go first.
    rows.append(Waiting("next", 0, 2, "a", WELL, 0, parked=False))
    assert choose(detour, rows) == ["id-1", "next"]


def test_with_too_many_keys_to_remember_too_many_wait_but_none_overtakes(
    sick: SickPartitions,
) -> None:
    detour = Detour(sick, most_keys=2)
    rows = events(*[(SICK, str(n)) for n in range(10)])
    choose(detour, rows)
    choose(detour, rows)
    assert detour.cursors(TOKENS) == [10]
    assert choose(detour, [Waiting("next", 0, 11, "9", WELL, 0, parked=False)]) == []


def test_a_suspicious_event_goes_alone_and_no_batch_is_larger_than_asked(
    sick: SickPartitions,
) -> None:
    rows = events(*[(WELL, str(n)) for n in range(5)])
    assert choose(Detour(sick), rows, limit=3) == ["id-1", "id-2", "id-3"]
    rows[1] = Waiting("id-2", 0, 2, "1", WELL, 3, parked=False)
    assert choose(Detour(sick), rows) == ["id-1"]


def test_a_place_is_tried_with_the_first_unsent_event_of_a_key(sick: SickPartitions) -> None:
    rows = events((WELL, "a"), (SICK, "a"), (SICK, "b"))
    choose(Detour(sick), rows)
    assert sick.examine({SICK: [True]}, 1) == {"id-3": Place(SICK, 0)}


def test_no_place_is_tried_with_a_suspicious_event(sick: SickPartitions) -> None:
    suspicious = Waiting("id-1", 0, 1, "a", SICK, 3, parked=False)
    choose(Detour(sick), [suspicious, *events((SICK, "x"), (SICK, "b"))[1:]])
    assert sick.examine({SICK: [True]}, 1) == {"id-2": Place(SICK, 0)}


@pytest.mark.parametrize("seed", range(40))
def test_in_any_mixture_keys_keep_their_order_and_all_that_can_go_goes(seed: int) -> None:
    dice = random.Random(seed)
    sick = SickPartitions()
    leaders = {SICK: [True] * 3, WELL: [True] * 2}
    places = [Place(SICK, 1), Place(WELL, 0)]
    sick.fell(places, leaders, 0)
    detour = Detour(sick, most_keys=dice.choice([3, 1000]))
    keys = [str(n) for n in range(30)]
    unsent = events(*[(dice.choice([SICK, WELL]), dice.choice(keys)) for _ in range(300)])
    sent: defaultdict[str, list[int]] = defaultdict(list)
    for _ in range(100):
        after = detour.cursors(TOKENS)[0]
        look = Look([event for event in unsent if event.seq > after][:40], 1, 1)
        chosen = set(detour.choose(look, [], limit=20, careful_attempts=3))
        going = [event for event in unsent if event.id in chosen and dice.random() < 0.9]
        stopped = {event.key for event in unsent if event.id in chosen and event not in going}
        for event in going:
            if event.key not in stopped:
                assert event.seq == min(e.seq for e in unsent if e.key == event.key)
                unsent.remove(event)
                sent[event.key].append(event.seq)
    assert all(seqs == sorted(seqs) for seqs in sent.values())
    well = {key for key in keys if not sick.concerns(key)}
    assert not [event for event in unsent if event.key in well]
    assert {murmur2(event.key.encode(), 3) for event in unsent if event.topic == SICK} >= {1}
