"""Fair shares of lanes among relays."""

from __future__ import annotations

import random

import pytest

from services.outbox_relay.lanes import Lane, Plan, fair_share, plan
from services.shared.outbox.lanes import LANES


def table(owners: dict[int, str], expired: set[int] = frozenset()) -> list[Lane]:  # pyright: ignore[reportArgumentType]
    return [Lane(n, owners.get(n), n not in owners or n in expired) for n in range(LANES)]


def held(owners: dict[int, str], me: str) -> set[int]:
    return {lane for lane, owner in owners.items() if owner == me}


@pytest.mark.parametrize("relays", range(1, 70))
def test_shares_add_up_to_all_lanes_and_differ_by_at_most_one(relays: int) -> None:
    members = [f"relay-{n}" for n in range(relays)]
    shares = [fair_share(me, members, LANES) for me in members]
    assert sum(shares) == LANES
    assert max(shares) - min(shares) <= 1


def test_a_relay_alone_asks_for_every_lane() -> None:
    wanted = plan("a", ["a"], table({}), [])
    assert wanted.release == ()
    assert sorted(wanted.acquire) == list(range(LANES))


def test_a_relay_counts_itself_before_the_database_lists_it() -> None:
    assert len(plan("b", ["a"], table({}), []).acquire) == 32


def test_a_newcomer_takes_nothing_from_a_live_lease() -> None:
    assert plan("b", ["a", "b"], table(dict.fromkeys(range(64), "a")), []) == Plan((), ())


def test_what_is_above_the_share_is_released_and_the_rest_kept() -> None:
    wanted = plan("a", ["a", "b"], table(dict.fromkeys(range(64), "a")), range(64))
    assert wanted == Plan(release=tuple(range(32, 64)), acquire=())


def test_expired_lanes_of_the_dead_are_taken_over() -> None:
    owners = dict.fromkeys(range(32), "a") | dict.fromkeys(range(32, 64), "dead")
    wanted = plan("a", ["a"], table(owners, expired=set(range(32, 64))), range(32))
    assert sorted(wanted.acquire) == list(range(32, 64))


def test_an_own_lease_that_ran_out_is_renewed_and_not_asked_for_again() -> None:
    owners = dict.fromkeys(range(64), "a")
    assert plan("a", ["a"], table(owners, expired={3}), range(64)) == Plan((), ())


def test_a_lane_the_table_calls_ours_but_that_we_do_not_hold_is_taken_once_it_runs_out() -> None:
    owners = dict.fromkeys(range(64), "a")
    assert plan("a", ["a"], table(owners), range(60)) == Plan((), ())
    wanted = plan("a", ["a"], table(owners, expired={60, 61}), range(60))
    assert sorted(wanted.acquire) == [60, 61]


def test_what_is_not_really_ours_is_not_above_the_share_either() -> None:
    assert plan("a", ["a", "b"], table(dict.fromkeys(range(64), "a")), range(32)) == Plan((), ())


@pytest.mark.parametrize("seed", range(30))
def test_relays_that_come_and_go_end_balanced_with_every_lane_owned_once(seed: int) -> None:
    choice = random.Random(seed)
    owners: dict[int, str] = {}
    members = ["relay-0"]
    for step in range(1, 12):
        if choice.random() < 0.4 and len(members) > 1:
            dead = members.pop(choice.randrange(len(members)))
            owners = {lane: owner for lane, owner in owners.items() if owner != dead}
        else:
            members.append(f"relay-{step}")
        for _ in range(4):  # rounds, in any order of the members
            for me in choice.sample(members, len(members)):
                wanted = plan(me, members, table(owners), held(owners, me))
                for lane in wanted.release:
                    assert owners.pop(lane) == me
                for lane in wanted.acquire:
                    assert lane not in owners
                    owners[lane] = me
    counts = [list(owners.values()).count(me) for me in members]
    assert sum(counts) == LANES
    assert max(counts) - min(counts) <= 1


def test_a_balanced_table_moves_no_lane() -> None:
    owners = {n: "a" if n % 2 else "b" for n in range(64)}
    assert plan("a", ["a", "b"], table(owners), held(owners, "a")) == Plan((), ())
    assert plan("b", ["a", "b"], table(owners), held(owners, "b")) == Plan((), ())
