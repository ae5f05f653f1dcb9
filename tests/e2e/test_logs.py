"""One request's lines are found in the logs of all services on its way, by either of its ids."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests import traffic
from loadtests.over_httpx import http_client
from tests.e2e.cluster import wait_for
from tests.e2e.conftest import Say
from tests.e2e.test_commands import run
from tests.e2e.traced import Send, send_document, send_point, send_resource, sent
from tests.harness.span_trees import Path
from tests.harness.whole_paths import DOCUMENT, POINT, TASK, Caller

SECONDS = 90
"""A service that was busy a moment before has no line left for what goes well, for half a
minute."""

pytestmark = pytest.mark.usefixtures("settled")


@pytest.fixture
def ways(checkout: Checkout, registered: object) -> Iterator[dict[str, httpx.Client]]:
    """A client of each entry."""
    with http_client(checkout, "http") as rest, http_client(checkout, "data") as ingest:
        yield {"http": rest, "data": ingest}


def found(checkout: Checkout, trace: str) -> list[Any]:
    """What `make logs` has of it; nothing, if that is what it says."""
    code, said = run(checkout, "logs", f"TRACE={trace}", "SINCE=10min", "JSON=1")
    if code:
        assert "no line of the last 600 s has" in said, said
        return []
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("path", "entry", "send"),
    [
        pytest.param(TASK, "http", send_resource, id="resource"),
        pytest.param(DOCUMENT, "data", send_document, id="document"),
        pytest.param(POINT, "data", send_point, id="point"),
    ],
)
def test_every_service_of_a_path_has_a_line_with_the_trace(
    checkout: Checkout,
    kube: Kube,
    ways: dict[str, httpx.Client],
    say: Say,
    path: Path,
    entry: str,
    send: Send,
) -> None:
    callers: list[Caller] = []

    def all_told() -> list[Any] | None:
        # Again with another id: what was not told of the one before never will be.
        caller, answer = sent(ways[entry], send)
        answer.raise_for_status()
        callers.append(caller)
        try:
            return wait_for("lines of all", lambda: whole(callers[-1].trace), seconds=15, pause=2)
        except TimeoutError:
            return None

    def whole(trace: str) -> list[Any] | None:
        lines = found(checkout, trace)
        told = {one["line"]["service"] for one in lines if isinstance(one["line"], dict)}
        return lines if told >= set(path.services) else None

    lines = wait_for(f"a line of each of {path.services}", all_told, seconds=SECONDS)
    assert [one["time"] for one in lines] == sorted(one["time"] for one in lines)
    assert {one["line"]["trace_id"] for one in lines} == {callers[-1].trace}
    for one in lines:
        assert one["pod"].startswith(one["line"]["service"])

    def same_by_name() -> bool:  # of both, as somebody may have had more to tell meanwhile
        return found(checkout, callers[-1].correlation_id) == found(checkout, callers[-1].trace)

    wait_for("the client's own name for it to lead to the same", same_by_name, seconds=30)
    say(f"{path.name}: {[one['line']['event'] for one in lines]}")


def test_people_read_a_line_for_each_with_time_pod_level_and_event(
    checkout: Checkout, kube: Kube
) -> None:
    caller = Caller.new()
    with httpx.Client(base_url=traffic.base_url(checkout), trust_env=False) as http:
        assert http.get(traffic.RESOURCES, headers=caller.headers).status_code == 401
    lines: list[str] = []

    def told() -> bool:
        code, said = run(checkout, "logs", f"TRACE={caller.headers['traceparent']}")
        lines[:] = [line for line in said.splitlines() if "rest-service" in line]
        return code == 0

    wait_for("the line", told, seconds=30)
    [line] = lines
    assert line.split()[3:5] == ["info", "request"]
    assert "status=401" in line


@pytest.mark.timeout(600)
def test_a_pod_that_is_gone_is_heard_where_the_stack_keeps_logs(
    checkout: Checkout, kube: Kube
) -> None:
    loki = ("get", "service", "loki", "-n", "monitoring", "-o", "name", "--ignore-not-found")
    if not kube.run(*loki):
        pytest.skip("this stack keeps no logs (millrace:logs)")
    caller = Caller.new()
    with httpx.Client(base_url=traffic.base_url(checkout), trust_env=False) as http:
        assert http.get(traffic.RESOURCES, headers=caller.headers).status_code == 401
    [before] = wait_for("its line", lambda: found(checkout, caller.trace), seconds=30)
    kube.run("delete", "pod", "-n", before["namespace"], before["pod"], "--wait")

    def still_there() -> list[Any]:
        return found(checkout, caller.trace)

    wait_for("the line of a pod that is gone", still_there, seconds=60)
    assert still_there() == [before], "once, and as the node had it"


def test_what_is_not_there_or_no_id_is_said(checkout: Checkout, kube: Kube) -> None:
    nobody = secrets.token_hex(16)
    code, said = run(checkout, "logs", f"TRACE={nobody}", "SINCE=1min")
    assert code != 0
    assert f"no line of the last 60 s has {nobody}" in said
    code, said = run(checkout, "logs", "TRACE=no id")
    assert code != 0
    assert "is no id" in said
    code, said = run(checkout, "logs")
    assert code != 0
    assert "TRACE is not given" in said


def test_a_login_that_failed_is_found_and_shows_no_secret(checkout: Checkout, kube: Kube) -> None:
    caller, secret = Caller.new(), secrets.token_urlsafe(32)
    with httpx.Client(base_url=traffic.base_url(checkout, "auth"), trust_env=False) as auth:
        answer = auth.post(
            "/oauth/token",
            auth=("e2e-nobody", secret),
            data={"grant_type": "client_credentials"},
            headers=caller.headers,
        )
    assert answer.status_code == 401

    def both() -> list[Any] | None:
        lines = found(checkout, caller.correlation_id)
        return lines if {"audit", "request"} <= {one["line"]["event"] for one in lines} else None

    lines = wait_for("a line of the audit, and one of the request", both, seconds=60)
    assert secret not in json.dumps(lines)
