"""The limits and the table of targets."""

import pytest

from loadtests.run.plan import Plan
from loadtests.target import Target
from loadtests.verdict.limits import Limit, number
from loadtests.verdict.targets import COLUMNS, ROWS, targets_for


@pytest.mark.parametrize(
    ("sign", "below", "on", "above"),
    [
        ("<", True, False, False),
        ("≤", True, True, False),
        (">", False, False, True),
        ("≥", False, True, True),
    ],
)
def test_each_sign_holds_on_its_side_of_the_boundary(
    sign: str, below: bool, on: bool, above: bool
) -> None:
    limit = Limit(sign, 2000.0, "ms")  # pyright: ignore[reportArgumentType]
    assert [limit.holds(value) for value in (1999.999, 2000.0, 2000.001)] == [below, on, above]


@pytest.mark.parametrize("sign", ["<", "≤", ">", "≥"])
def test_what_is_no_number_is_within_no_limit(sign: str) -> None:
    assert not Limit(sign, 1.0).holds(float("nan"))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("limit", "measured", "text"),
    [
        (Limit("≤", 2000, "ms"), 1234.5, "1,234 ms"),
        (Limit("≤", 2000, "ms"), 2000.0, "2,000 ms"),
        (Limit("≤", 2000, "ms"), 2000.04, "2,000.04 ms"),
        (Limit("<", 0.01, "%"), 0.0, "0.00 %"),
        (Limit("<", 0.01, "%"), 0.01, "1.00 %"),
        (Limit("<", 0.01, "%"), 0.00999, "0.999 %"),
        (Limit("≤", 100, "/s"), 100.004, "100.004/s"),
    ],
)
def test_a_value_is_shown_on_the_side_of_the_limit_where_it_is(
    limit: Limit, measured: float, text: str
) -> None:
    assert limit.show(measured) == text


def test_numbers_have_their_unit_and_no_zeros_to_spare() -> None:
    assert (number(5000, "ms"), number(0.5, "s"), number(97.25, "/s")) == (
        "5,000 ms",
        "0.5 s",
        "97.25/s",
    )


@pytest.mark.parametrize("stack", sorted(COLUMNS))
@pytest.mark.parametrize("target", sorted(ROWS))
def test_every_environment_has_targets_whose_aims_are_no_easier(stack: str, target: Target) -> None:
    targets = targets_for(stack, target)
    assert len(targets.endpoints) == 3
    for endpoint in targets.endpoints:
        for what in ("p50", "p95", "p99"):
            must, aim = (
                getattr(side.latency, what).value for side in (endpoint.must, endpoint.aim)
            )
            assert 0 < aim < must
        assert endpoint.aim.failures.holds(0.0)
        assert not endpoint.aim.failures.holds(1e-9)
    if targets.cache_hits is not None:
        assert targets.cache_hits_aim is not None
        assert targets.cache_hits.value < targets.cache_hits_aim.value


@pytest.mark.parametrize("target", sorted(ROWS))
def test_the_shares_of_the_endpoints_are_all_there_is(target: Target) -> None:
    assert sum(ROWS[target].values()) == pytest.approx(1.0)


@pytest.mark.parametrize("target", sorted(ROWS))
def test_the_endpoints_with_targets_are_those_that_users_call(target: Target) -> None:
    plan = Plan(run="load-00000000", host="http://127.0.0.1:1", hot=1, target=target)
    assert set(ROWS[target]) == set(plan.endpoints)


def test_the_targets_of_ten_thousand_users_on_one_machine() -> None:
    targets = targets_for("airgap", "async")
    for endpoint in targets.endpoints:
        assert endpoint.must.latency.p95.text == "≤ 2,000 ms"
        assert endpoint.must.latency.p99.text == "≤ 5,000 ms"
        assert endpoint.must.failures.text == "< 1 %"
        assert endpoint.aim.latency.p95.text == "≤ 500 ms"
        assert endpoint.aim.latency.p99.text == "≤ 1,250 ms"
    assert targets.cache_hits == Limit(">", 0.95, "%")
    assert targets.commits == targets.flushes == Limit("≤", 100, "/s")


def test_points_are_held_to_the_same_latencies_and_to_no_constrained_store() -> None:
    points, documents = (targets_for("airgap", target) for target in ("telemetry", "async"))
    assert {one.must for one in points.endpoints} == {one.must for one in documents.endpoints}
    assert (points.cache_hits, points.commits, points.flushes) == (None, None, None)


def test_a_stack_without_targets_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"'staging'.*airgap, dev, prod.*targets\.py"):
        targets_for("staging", "async")
