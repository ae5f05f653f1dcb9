"""What a client may ask for, by a clock of the test, and what is told of it."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from services.shared.http.problem import ProblemError
from services.shared.limits.bucket import Bucket, Terms
from services.shared.runtime import context
from tests.unit.services.shared.limits_world import Limits

LONG = 3600.0


async def settled(limits: Limits) -> None:
    """Until all is told."""
    async with asyncio.timeout(20):
        while limits.limit._telling is not None:
            await asyncio.sleep(0.001)


def allowed(limits: Limits, tries: int = 100, client: str = "c") -> int:
    """How many of so many requests at one moment are let in."""
    count = 0
    for _ in range(tries):
        try:
            limits.limit.admit(client, None)
        except ProblemError:
            continue
        count += 1
    return count


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    terms, bucket, now = Terms.of(10, 5), Bucket(), 1e6
    assert [bucket.take(now, terms) for _ in range(5)] == [0] * 5
    assert bucket.take(now, terms) == pytest.approx(0.1)
    assert bucket.take(now + 0.06, terms) == pytest.approx(0.04)
    assert bucket.take(now + 0.1, terms) == 0
    assert bucket.take(now + 0.1, terms) == pytest.approx(0.1)
    assert [bucket.take(now + LONG, terms) for _ in range(5)] == [0] * 5
    assert bucket.take(now + LONG, terms) > 0


@pytest.mark.parametrize(("rate", "burst"), [(3, 7), (0.01, 1), (1000, 1), (333.3, 10_000)])
def test_over_any_time_no_more_is_given_than_burst_and_rate(rate: float, burst: int) -> None:
    terms, bucket, given = Terms.of(rate, burst), Bucket(), 0
    seconds = 3 * burst / rate
    for step in range(3000):
        now = 1e6 + step * seconds / 3000
        while not bucket.take(now, terms):
            given += 1
    assert burst + rate * seconds * 0.99 - 1 <= given <= burst + rate * seconds


def test_a_share_is_never_less_than_one_request() -> None:
    terms, bucket = Terms.of(10, 5, pods=20), Bucket()
    assert bucket.take(1.0, terms) == 0
    assert bucket.take(1.0, terms) == pytest.approx(2)
    assert Terms.of(10, 100, pods=4) == (0.4, 10)


async def test_a_client_over_its_rate_is_told_when_to_try_again_and_others_are_let_in() -> None:
    limits = Limits(per_second=0.4, burst=2)
    assert allowed(limits, 2) == 2
    with pytest.raises(ProblemError) as refused:
        limits.limit.admit("c", None)
    assert (refused.value.status, refused.value.kind) == (429, "rate-limited")
    assert refused.value.headers == {"Retry-After": "3"}
    assert "0.4 requests a second" in refused.value.detail
    assert "c" not in refused.value.detail.split()
    assert allowed(limits, client="d") == 2
    limits.clock.now += 2.5
    assert allowed(limits) == 1
    assert (limits.count("allowed"), limits.count("refused")) == (5, 1 + 98 + 99)
    await limits.limit.close()


async def test_what_is_let_in_is_told_of_all_clients_together_and_refusals_are_not() -> None:
    limits = Limits(per_second=10, burst=3)
    context.bind("a-request", context.TraceContext.new())
    assert (allowed(limits, client="a"), allowed(limits, 2, client="b")) == (3, 2)
    assert limits.pods.told == []  # nothing has waited
    await settled(limits)
    assert limits.pods.told == [{"client:a": 3, "client:b": 2}]
    assert limits.pods.told_for == [{}]  # nobody's
    assert allowed(limits, client="a") == 0
    limits.clock.now += 0.2
    assert allowed(limits, client="a") == 2
    await settled(limits)
    assert limits.pods.told[1:] == [{"client:a": 2}]


async def test_what_other_pods_let_in_counts_and_what_came_meanwhile_is_added() -> None:
    limits = Limits(per_second=10, burst=10)
    limits.pods.lacks["client:c"] = 0.4
    limits.pods.thawed.clear()
    assert allowed(limits, 1) == 1
    await asyncio.sleep(0)  # it is being told
    assert limits.pods.told == [{"client:c": 1}]
    assert allowed(limits, 2) == 2
    limits.pods.thawed.set()
    await asyncio.sleep(0.001)
    assert allowed(limits) == 3  # 10, less the 4 of others, the 1 told and the 2 untold
    await limits.limit.close()


async def test_a_client_that_got_too_much_at_several_pods_owes_it() -> None:
    limits = Limits(per_second=10, burst=10)
    limits.pods.lacks["client:c"] = 1.0
    assert allowed(limits, 10) == 10
    await settled(limits)
    assert allowed(limits) == 0
    limits.clock.now += 1.09
    assert allowed(limits) == 0
    limits.clock.now += 0.02
    assert allowed(limits) == 1
    await limits.limit.close()


async def test_exchanges_have_a_pace_however_many_requests_there_are() -> None:
    limits = Limits(per_second=1e6, exchange_seconds=0.1)
    for _ in range(50):
        assert allowed(limits, 10) == 10
        await asyncio.sleep(0.001)
    assert len(limits.pods.told) <= 10
    await limits.limit.close()


async def test_many_clients_are_told_of_in_parts_and_few_are_remembered() -> None:
    limits = Limits(per_second=1, clients=1000)
    for number in range(5000):
        limits.limit.admit(str(number), None)
    assert limits.remembered == 1000
    await settled(limits)
    assert sum(len(told) for told in limits.pods.told) == 5000
    assert max(len(told) for told in limits.pods.told) == 200
    assert allowed(limits, client="4999") == 0
    assert (
        allowed(limits, client="0") == 1
    )  # of which the pod knows nothing any more, until it asks
    await settled(limits)
    assert allowed(limits, client="0") == 0


async def test_who_is_forgotten_and_comes_again_before_it_is_told_loses_nothing() -> None:
    limits = Limits(per_second=0.01, burst=5, clients=100)
    assert allowed(limits, 3) == 3
    for number in range(100):
        limits.limit.admit(str(number), None)
    assert allowed(limits) == 2
    await settled(limits)
    assert limits.pods.told[0]["client:c"] == 5


async def test_while_redis_is_away_a_pod_gives_its_share_and_then_the_whole_again() -> None:
    limits = Limits(per_second=100, burst=100)
    limits.pods.pods = 4
    assert allowed(limits, 1, client="first") == 1
    await settled(limits)
    limits.pods.away = True
    with capture_logs() as lines:
        assert allowed(limits, 1, client="notices") == 1
        await settled(limits)
        assert allowed(limits) == 25
        await settled(limits)
        limits.clock.now += LONG
        assert allowed(limits) == 25
        assert allowed(limits, client="d") == 25
        await settled(limits)
    assert [line["event"] for line in lines if line["event"].startswith("rate")] == [
        "rate_limit_alone"
    ]
    assert limits.count("allowed", "alone") == 75
    limits.clock.now += LONG
    limits.pods.away = False
    with capture_logs() as lines:
        assert allowed(limits, 1, client="looks") == 1
        await settled(limits)
    assert "rate_limit_shared" in [line["event"] for line in lines]
    limits.clock.now += LONG
    assert allowed(limits) == 100
    await limits.limit.close()


async def test_a_redis_that_is_away_is_not_asked_for_each_request_and_no_request_waits() -> None:
    limits = Limits(per_second=1e6)
    limits.pods.away = True
    for _ in range(20):
        assert allowed(limits, 10) == 10
        await settled(limits)
    assert len(limits.pods.told) == 3
    for _ in range(5):
        limits.clock.now += 1.25
        for _ in range(5):
            assert allowed(limits, 10) == 10
            await settled(limits)
    assert len(limits.pods.told) == 3 + 5  # one looks
    refused = {"dependency": "rate-limit"}
    assert limits.registry.get_sample_value("circuit_breaker_refused_total", refused) == 0
    assert not any(bucket.untold for bucket in limits.limit._buckets.values())


async def test_a_frozen_redis_costs_no_request_anything() -> None:
    limits = Limits(per_second=10, burst=10)
    limits.pods.thawed.clear()
    assert allowed(limits) == 10
    await asyncio.sleep(0.01)
    limits.clock.now += 0.5
    assert allowed(limits) == 5
    await limits.limit.close()
    assert len(limits.pods.told) == 1


async def test_it_closes_before_it_has_told_anything() -> None:
    limits = Limits(per_second=10)
    limits.limit.admit("c", None)
    await limits.limit.close()
    assert limits.pods.told == []
