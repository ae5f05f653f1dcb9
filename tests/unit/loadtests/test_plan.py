"""What a run is to do: its settings, its shapes, its turns."""

import pytest

from loadtests.pace import Pace
from loadtests.run.plan import Plan, Settings, check_addresses, check_open_files, settings
from loadtests.run.shapes import SHAPES, stage_at


def test_what_is_not_given_is_as_by_default():
    assert settings(users="", pace=None) == Settings()
    assert settings(users="300", target="sync").model_dump() == {
        **Settings().model_dump(),
        "users": 300,
        "target": "sync",
    }


@pytest.mark.parametrize(
    ("name", "text", "way_out"),
    [
        ("users", "ten", "USERS=10000"),
        ("users", "0", "USERS=10000"),
        ("pace", "80", "PACE=10"),
        ("shape", "square", "SHAPE=steady, ramp, spike or soak"),
        ("target", "both", "TARGET=async, TARGET=sync or TARGET=telemetry"),
        ("where", "moon", "WHERE=machine or WHERE=cluster"),
    ],
)
def test_a_bad_value_is_one_sentence_with_the_way_out(name: str, text: str, way_out: str):
    with pytest.raises(ValueError, match=f"^{name.upper()} is '{text}': .+; for example") as error:
        settings(**{name: text})
    assert str(error.value).endswith(way_out)
    assert "\n" not in str(error.value)


def test_all_bad_values_are_named_at_once():
    with pytest.raises(ValueError, match=r"USERS is .*; PACE is "):
        settings(users="many", pace="fast")


def test_more_users_than_a_process_may_have_open_files_are_refused():
    check_open_files(Settings(users=10_000, workers=2), 20_000)
    with pytest.raises(ValueError, match="take fewer users or more WORKERS"):
        check_open_files(Settings(users=10_000, workers=2), 4_096)


def test_more_users_than_there_are_addresses_are_refused_and_each_pod_has_its_own():
    check_addresses(Settings(users=28_000))
    check_addresses(Settings(users=50_000, workers=2, where="cluster"))
    with pytest.raises(ValueError, match="take fewer, or WHERE=cluster"):
        check_addresses(Settings(users=28_001))
    with pytest.raises(ValueError, match="take fewer, or more WORKERS"):
        check_addresses(Settings(users=60_000, workers=2, where="cluster"))


def test_every_shape_reaches_all_users_and_ends():
    for name, shape in SHAPES.items():
        stages = shape(100, 30, 10)
        assert max(stage.users for stage in stages) == 100, name
        assert stage_at(stages, stages[-1].until) is None, name
        assert [stage.until for stage in stages] == sorted(stage.until for stage in stages), name


def test_steady_holds_all_users_for_the_seconds_given_after_they_came_in():
    (stage,) = SHAPES["steady"](10_000, 180, 200)
    assert (stage.users, stage.rate, stage.until) == (10_000, 200, 50 + 180)


def test_a_spike_goes_from_few_to_all_and_back():
    stages = SHAPES["spike"](1_000, 90, 100)
    assert [stage.users for stage in stages] == [200, 1_000, 200]
    calm = stages[0].until
    assert stage_at(stages, calm - 0.1) == stages[0]
    assert stage_at(stages, calm) == stages[1]


def test_a_ramp_takes_as_long_as_it_was_told_is_never_steeper_than_the_rate_and_stays_a_while():
    (slow,) = SHAPES["ramp"](1_000, 100, 200)
    assert (slow.rate, slow.until) == (10, 125)
    (steep,) = SHAPES["ramp"](1_000, 2, 200)
    assert (steep.rate, steep.until) == (200, 6.25)


@pytest.mark.parametrize("shape", SHAPES)
def test_all_users_are_there_for_more_than_a_pace(shape: str):
    """The gate wants it: only then has each made a request while all were there."""
    chosen = Settings()
    begun = 0.0
    held = 0.0
    users = 0
    for stage in SHAPES[shape](chosen.users, chosen.seconds, chosen.rate):
        arrived = begun + abs(stage.users - users) / stage.rate
        if stage.users == chosen.users:
            held += stage.until - arrived
        begun, users = stage.until, stage.users
    assert held > chosen.pace


def test_the_endpoints_of_a_plan_are_those_its_flow_calls():
    plan = Plan(run="load-00000000", host="http://127.0.0.1:1", hot=1)
    assert plan.endpoints == ("POST /api/data", "GET /api/data/{id}", "GET /api/data")
    assert plan.model_copy(update={"flow": "write", "target": "sync"}).endpoints == ("POST /data",)
    points = plan.model_copy(update={"target": "telemetry"})
    assert points.entry == "data"
    assert points.endpoints == (
        "POST /api/v1/telemetry",
        "GET /api/v1/telemetry",
        "GET /api/v1/telemetry/rollups",
    )


def test_turns_are_a_pace_apart_and_a_skipped_one_is_left_out():
    pace = Pace(0.1)
    assert pace.delay(100) == 0
    assert pace.delay(101) == 9
    pace.skip()
    assert pace.delay(110) == 20


def test_a_turn_that_was_missed_is_not_made_up():
    pace = Pace(0.1)
    pace.delay(100)
    assert pace.delay(135) == 0
    assert pace.delay(135) == 10
