"""Lines of pods that are gone come from Loki, where there is one."""

import json
from typing import Any

import httpx
import pytest

from operations.logs import found, store
from operations.logs.found import Found, Line, Source
from operations.logs.sought import Sought
from tests.harness.traces import TRACE

AT = 1_764_000_000_123_456_789
OLD = Source("apps", "rest-0", "main")


def ask(status: int, body: str | dict[str, Any]) -> tuple[Found, httpx.Request]:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, text=body if isinstance(body, str) else json.dumps(body))

    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://localhost") as api:
        said = store.find(api, 3600, Sought.parse(TRACE), lambda text: "not this" not in text)
    return said, asked[0]


def streams(*lines: str, pod: str = "rest-0") -> dict[str, Any]:
    of = {
        "k8s_namespace_name": "apps",
        "k8s_container_name": "main",
        "k8s_pod_name": pod,
    }
    values = [[str(AT + number), line] for number, line in enumerate(lines)]
    result = [{"stream": of, "values": values}]
    return {"status": "success", "data": {"resultType": "streams", "result": result}}


def test_lines_have_their_pod_and_their_time_to_the_nanosecond():
    said, request = ask(200, streams(f"of {TRACE}", f"not this {TRACE}", f"x{TRACE}"))
    assert said == Found([Line(OLD, AT, f"of {TRACE}")], [])
    asked = request.url.params
    word = f"(?:^|[^0-9A-Za-z_])(?:{TRACE})(?:[^0-9A-Za-z_]|$)"
    assert asked["query"] == f'{{k8s_namespace_name=~".+"}} |~ `{word}` | drop observed_timestamp'
    assert int(asked["end"]) - int(asked["start"]) == 3_660 * 10**9
    assert request.url.path.endswith("/services/https:loki:https/proxy/loki/api/v1/query_range")


def test_an_id_is_sought_as_it_is_written():
    sought = Sought(frozenset({"a.b", "c"}))
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["query"])
        return httpx.Response(200, json=streams())

    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://localhost") as api:
        assert store.find(api, 60, sought, lambda _: True) == Found([], [])
    assert r"(?:a\.b|c)" in asked[0]


def test_a_stack_without_a_store_has_nothing_to_say():
    status = {"kind": "Status", "reason": "NotFound", "message": 'services "loki" not found'}
    assert ask(404, status)[0] == Found(())


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (503, {"kind": "Status", "message": "no endpoints available"}, "no endpoints available"),
        (403, {"kind": "Status", "message": "services/proxy is forbidden"}, "forbidden"),
        (500, "too many outstanding requests\n", "too many outstanding requests"),
        (200, "<html>", "<html>"),
    ],
)
def test_a_store_that_does_not_answer_is_noted(status: int, body: Any, why: str):
    said, _ = ask(status, body)
    assert not said.lines
    [note] = said.notes
    assert note.startswith("Loki, which keeps lines of pods that are gone, does not answer: ")
    assert why in note


def test_more_lines_than_are_shown_are_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "MOST", 2)
    said, _ = ask(200, streams(f"1 {TRACE}", f"2 {TRACE}"))
    assert said.notes == ["Loki: more than 2 lines; the first are shown"]


def test_what_a_node_and_the_store_have_is_told_once():
    here = Line(OLD, AT, "same")
    there = Line(Source("apps", "rest-0", "main", previous=True), AT, "same")
    older = Line(OLD, AT - 1, "same")
    said = found.merged([Found([here], ["a"]), Found([there, older], ["b"])])
    assert said == Found([older, here], ["a", "b"])


@pytest.mark.parametrize(
    ("stamp", "rest"),
    [
        ("2026-11-23T04:00:01Z", 0),
        ("2026-11-23T04:00:01.5Z", 500_000_000),
        ("2026-11-23T04:00:01.123456789Z", 123_456_789),
        ("2026-11-23T06:00:01.000000001+02:00", 1),
    ],
)
def test_times_of_nodes_are_read_to_the_nanosecond(stamp: str, rest: int):
    assert found.nanoseconds(stamp) == 1_795_406_401_000_000_000 + rest


@pytest.mark.parametrize("stamp", ["", "no time", "2026-11-23", "2026-11-23T04:00:01"])
def test_what_is_no_time_is_refused(stamp: str):
    with pytest.raises(ValueError, match="time"):
        found.nanoseconds(stamp)
