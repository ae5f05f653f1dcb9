"""What is an id, and which line has it."""

import json

import pytest

from operations.logs.sought import MOST_TRACES, Sought
from operations.request import RefusedError
from tests.harness.traces import CALLER, SPAN, TRACE

OTHER = "1" * 32


def line(**about: object) -> str:
    return json.dumps({"event": "request", "level": "info", **about})


def has(sought: Sought, text: str) -> bool:
    return bool(sought.pattern.search(text.encode())) and sought.is_in(json.loads(text))


@pytest.mark.parametrize("said", [TRACE, TRACE.upper(), CALLER, f"  {TRACE}\n"])
def test_a_trace_is_meant_by_its_id_or_by_a_traceparent(said: str):
    assert Sought.parse(said) == Sought(frozenset({TRACE}))


@pytest.mark.parametrize("said", ["mine", "0198c6a2-7f3b-7c1e-9b1a-1d2e3f405162", "A.b_c:d-1"])
def test_what_else_a_client_may_call_its_request_is_a_correlation_id(said: str):
    assert Sought.parse(said) == Sought(frozenset({said}))


@pytest.mark.parametrize("said", ["two words", "a'b", "x" * 101, "$(id)", "é"])
def test_what_nobody_can_have_sent_is_refused(said: str):
    with pytest.raises(RefusedError, match="is no id"):
        Sought.parse(said)


@pytest.mark.parametrize("said", ["", "  "])
def test_nothing_is_refused_with_what_to_say(said: str):
    with pytest.raises(RefusedError, match="TRACE is not given"):
        Sought.parse(said)


def test_a_line_has_it_as_a_value_wherever_it_stands():
    sought = Sought.parse(TRACE)
    assert has(sought, line(trace_id=TRACE))
    assert has(sought, line(error=f"of {TRACE}, which is gone"))
    assert has(sought, line(message={"headers": [f"00-{TRACE}-{SPAN}-01"]}))
    assert not has(sought, line(trace_id=f"{TRACE}0"))
    assert not has(sought, line(trace_id=OTHER))


def test_a_correlation_id_that_is_a_word_is_not_every_line_with_that_word():
    assert has(Sought.parse("request"), line(correlation_id="request"))
    assert not has(Sought.parse("request"), line(correlation_id="other"))
    assert not has(Sought.parse("info"), line(path="/info/1"))


def test_the_traces_of_a_correlation_id_are_followed_the_newest_of_many():
    sought = Sought.parse("mine")
    lines = [{"trace_id": f"{n:032x}"} for n in range(MOST_TRACES + 5)]
    more = sought.with_traces_of([*lines, {"event": "of a batch"}])
    assert more.ids == {"mine", *(f"{n:032x}" for n in range(5, MOST_TRACES + 5))}
    assert sought.with_traces_of([]) == sought
