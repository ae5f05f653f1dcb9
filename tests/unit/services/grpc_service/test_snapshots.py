"""Snapshots tell exactly what one has seen, whoever commits when."""

from __future__ import annotations

import random

import pytest

from services.grpc_service.cursors import (
    BadCursorError,
    Filters,
    decode_watch,
    encode,
    encode_watch,
)
from services.grpc_service.model import Status
from services.grpc_service.snapshots import Snapshot
from services.shared.runtime.cursors import seal, unseal

ALL = range(100, 160)


@pytest.mark.parametrize("text", ["10:10:", "10:20:10,14,15", "749:749:", "1:3:1"])
def test_its_text_is_that_of_postgresql(text: str) -> None:
    assert str(Snapshot.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "10", "10:10", "10:9:", "9:10:", "10:20:10,10", "10:20:14,12", "10:20:10,20", "1:x:",
     "-1:-1:", "10:20:10,", " 10:10:", "1" * 30 + ":" + "1" * 30 + ":", "0:0:", "0:10:0",
     "4294967296:4294967296:"],
)  # fmt: skip
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no snapshot"):
        Snapshot.parse(text)


def history(made: random.Random) -> list[Snapshot]:
    """Snapshots of a server on which transactions begin and end at random."""
    begun, running, found = ALL.start, set[int](), []
    for _ in range(60):
        if running and made.random() < 0.5:
            running.discard(made.choice(sorted(running)))
        elif begun < ALL.stop:
            running.add(begun)
            begun += 1
        # PostgreSQL's own ends behind the last that has ended: those past it are not named.
        ended = [number for number in range(ALL.start, begun) if number not in running]
        end = max(ended, default=ALL.start - 1) + 1
        found.append(Snapshot(end, tuple(sorted(number for number in running if number < end))))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_who_goes_from_one_to_another_has_seen_what_they_have_been_told(seed: int) -> None:
    made = random.Random(seed)
    snapshots = history(made)
    for _ in range(50):
        first, second = sorted(made.sample(range(len(snapshots)), 2))
        since, until = snapshots[first], snapshots[second]
        for up_to in [*ALL]:
            if since.sees(up_to) or not until.sees(up_to):
                continue
            reached = since.towards(until, up_to)
            assert Snapshot.parse(str(reached)) == reached
            for number in ALL:
                known = since.sees(number) or (until.sees(number) and number <= up_to)
                assert reached.sees(number) == known, (since, until, up_to, number)


@pytest.mark.parametrize("seed", range(10))
def test_a_shortened_one_never_sees_more(seed: int) -> None:
    for snapshot in history(random.Random(seed)):
        for most in range(4):
            short = snapshot.shortened(most)
            assert len(short.running) <= most
            assert Snapshot.parse(str(short)) == short
            assert all(snapshot.sees(number) for number in ALL if short.sees(number))


def test_a_token_is_of_its_filters_and_of_a_watch() -> None:
    snapshot, filters = Snapshot(20, (12, 15)), Filters(resource_id="r", status=Status.FAILED)
    token = encode_watch(snapshot, filters)
    assert decode_watch(token, filters) == snapshot
    page = encode("0199aaaa-0000-7000-8000-000000000000", filters)
    mark = unseal(token).partition(" ")[2]
    for bad, asked in (
        (token, Filters()),
        (token[:-2], filters),
        (page, filters),
        ("", filters),
        ("ä", filters),
        (seal(f"10:9: {mark}"), filters),
        (seal(mark), filters),
    ):
        with pytest.raises(BadCursorError):
            decode_watch(bad, asked)


def test_a_token_stays_small_however_many_transactions_run() -> None:
    token = encode_watch(Snapshot(10**17, tuple(range(1, 1000))), Filters())
    assert len(token) < 1000
    assert decode_watch(token, Filters()).running == tuple(range(1, 51))


def test_a_token_that_names_more_transactions_than_any_of_ours_is_refused_unread() -> None:
    filters = Filters()
    mark = unseal(encode_watch(Snapshot(20), filters)).partition(" ")[2]
    for count in (50, 51, 50_000):
        token = seal(f"{Snapshot(10**6, tuple(range(10, 10 + count)))} {mark}")
        if count == 50:
            assert len(decode_watch(token, filters).running) == count
            continue
        with pytest.raises(BadCursorError):
            decode_watch(token, filters)
