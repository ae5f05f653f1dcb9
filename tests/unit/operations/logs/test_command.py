"""Lines about one request are found in the logs of all pods, and told in the order of time."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import KubeError
from operations.clusters import Elsewhere
from operations.logs import command, found, reading
from operations.logs.sought import Sought
from operations.request import FailedError, RefusedError
from tests.harness.proxying import proxying_kubectl
from tests.harness.traces import TRACE

API = "/api/v1/namespaces"
STORE = f"{API}/monitoring/services/https:loki:https/proxy/loki/api/v1/query_range"


def stamp(second: float) -> str:
    return f"2026-11-23T04:00:{second:012.9f}Z"


def said(second: float, text: str = "", **about: object) -> str:
    entry = {"event": "request", "level": "info", "trace_id": TRACE, **about}
    return f"{stamp(second)} {text or json.dumps(entry)}\n"


def pod(name: str, *containers: Mapping[str, Any], init: str = "") -> Mapping[str, Any]:
    status: dict[str, Any] = {"containerStatuses": containers}
    if init:
        status["initContainerStatuses"] = [{"name": init, "state": {"terminated": {}}}]
    return {"metadata": {"name": name}, "status": status}


def container(name: str = "main", restarts: int = 0, state: str = "running") -> Mapping[str, Any]:
    return {"name": name, "restartCount": restarts, "state": {state: {}}}


class Cluster:
    """Namespaces with pods, and logs by pod, container and whether it is the one before."""

    def __init__(self, pods: Mapping[str, list[Mapping[str, Any]]]) -> None:
        self.answers: dict[str, tuple[int, str]] = {
            f"{API}?labelSelector=app.kubernetes.io%2Fpart-of%3Dmillrace": _items(
                [{"metadata": {"name": name}} for name in pods]
            )
        }
        self.answers |= {f"{API}/{name}/pods": _items(of) for name, of in pods.items()}

    def logs(
        self, namespace: str, name: str, text: str, of: str = "main", *, previous: bool = False,
        status: int = 200,
    ) -> None:  # fmt: skip
        query = f"container={of}&sinceSeconds=3600&timestamps=true&previous={previous}".lower()
        query = query.replace("sinceseconds", "sinceSeconds")
        self.answers[f"{API}/{namespace}/pods/{name}/log?{query}"] = (status, text)


def _items(items: list[Any]) -> tuple[int, str]:
    return 200, json.dumps({"items": items})


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster(
        {
            "apps": [pod("rest-1", container()), pod("worker-1", container(), init="waits")],
            "data": [pod("postgres-0", container(restarts=1))],
        }
    )
    made.logs("apps", "rest-1", said(2, service="rest", status=201) + said(3, trace_id="0" * 32))
    made.logs("apps", "worker-1", said(5, event="processed") + "no time\n")
    made.logs("apps", "worker-1", said(1, f"waiting for {TRACE}"), "waits")
    made.logs("data", "postgres-0", said(4.5, f"LOG: 00-{TRACE}-1 \x1b[2J\u2028?"))
    made.logs("data", "postgres-0", said(4, "FATAL: " + TRACE), previous=True)
    return made


Show = Callable[..., tuple[list[str], list[str]]]


@pytest.fixture
def show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Show:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def shown(cluster: Cluster, trace: str = TRACE, *, raw: bool = False) -> Any:
        program = tmp_path / "kubectl"
        proxying_kubectl(program, cluster.answers)
        kube = Elsewhere(Checkout(tmp_path, tmp_path), "there")
        told, noted = [], []
        sought = Sought.parse(trace)
        command.show(kube, sought, 3600, told.append, noted.append, raw=raw)
        return told, noted

    return shown


def test_lines_of_all_pods_come_by_time_with_what_they_say(cluster: Cluster, show: Show):
    told, noted = show(cluster)
    assert told == [
        f"2026-11-23 04:00:01.000  worker-1    -        waiting for {TRACE}",
        "2026-11-23 04:00:02.000  rest-1      info     request  status=201",
        f"2026-11-23 04:00:04.000  postgres-0  -        FATAL: {TRACE}",
        f"2026-11-23 04:00:04.500  postgres-0  -        LOG: 00-{TRACE}-1 \\x1b[2J\\u2028?",
        "2026-11-23 04:00:05.000  worker-1    info     processed",
    ]
    assert noted == []


def test_for_a_program_each_is_an_object(cluster: Cluster, show: Show):
    told, _ = show(cluster, raw=True)
    objects = [json.loads(one) for one in told]
    assert [one["pod"] for one in objects] == [
        *("worker-1", "rest-1", "postgres-0", "postgres-0", "worker-1"),
    ]
    assert objects[1] == {
        "time": "2026-11-23T04:00:02.000000+00:00",
        "namespace": "apps",
        "pod": "rest-1",
        "container": "main",
        "line": {
            "event": "request",
            "level": "info",
            "trace_id": TRACE,
            "service": "rest",
            "status": 201,
        },
    }
    assert objects[2]["line"] == f"FATAL: {TRACE}"


def test_a_correlation_id_leads_to_the_traces_it_is_named_with(cluster: Cluster, show: Show):
    cluster.logs("apps", "rest-1", said(2, correlation_id="mine") + said(3, trace_id="0" * 32))
    told, _ = show(cluster, "mine")
    assert [one.split()[2] for one in told] == [
        *("worker-1", "rest-1", "postgres-0", "postgres-0", "worker-1"),
    ]


def test_nothing_found_says_where_it_was_looked_for(cluster: Cluster, show: Show):
    with pytest.raises(FailedError, match=r"no line of the last 3600 s has 2{32}, in 5 logs of 3"):
        show(cluster, "2" * 32)


def test_a_log_that_cannot_be_read_is_named_and_the_others_are_told(cluster: Cluster, show: Show):
    cluster.logs("apps", "rest-1", '{"message": "the node is away"}', status=500)
    cluster.logs("data", "postgres-0", '{"message": "none before"}', previous=True, status=400)
    told, noted = show(cluster)
    assert len(told) == 3
    assert noted == ["not all was read: apps/rest-1 (main): the node is away"]


def test_a_container_that_has_not_begun_has_no_log(cluster: Cluster, show: Show):
    pods = [pod("new-1", container(state="waiting"))]
    cluster.answers[f"{API}/apps/pods"] = _items(pods)
    told, noted = show(cluster)
    assert {one.split()[2] for one in told} == {"postgres-0"}
    assert noted == []


def test_one_log_does_not_push_the_others_out(
    cluster: Cluster, show: Show, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reading, "MOST", 2)
    cluster.logs("apps", "rest-1", "".join(said(second) for second in range(10, 20)))
    told, noted = show(cluster)
    assert sum("rest-1" in one for one in told) == 2
    assert len(told) == 6
    assert noted == ["not all was read: apps/rest-1 (main): more than 2 lines; the first are shown"]


def test_what_is_told_twice_is_shown_once(cluster: Cluster, show: Show):
    same = said(4, "FATAL: " + TRACE)
    cluster.logs("data", "postgres-0", same)
    told, _ = show(cluster)
    assert sum("FATAL" in one for one in told) == 1


def test_a_store_adds_what_nodes_no_longer_have(cluster: Cluster, show: Show):
    of = {"k8s_namespace_name": "apps", "k8s_pod_name": "gone-1", "k8s_container_name": "main"}
    at = found.nanoseconds(stamp(3))
    values = [[str(at), json.dumps({"event": "processed", "trace_id": TRACE})]]
    cluster.answers[STORE] = (
        200,
        json.dumps({"status": "success", "data": {"result": [{"stream": of, "values": values}]}}),
    )
    told, noted = show(cluster)
    assert [one.split()[2] for one in told] == [
        *("worker-1", "rest-1", "gone-1", "postgres-0", "postgres-0", "worker-1"),
    ]
    assert noted == []


def test_a_store_that_is_away_keeps_nobody_from_the_rest(cluster: Cluster, show: Show):
    cluster.answers[STORE] = (503, '{"message": "no endpoints available"}')
    told, noted = show(cluster)
    assert len(told) == 5
    assert "no endpoints available" in noted[0]


def test_a_cluster_that_refuses_is_said(cluster: Cluster, show: Show):
    refused = '{"message": "pods is forbidden"}'
    cluster.answers[f"{API}/data/pods"] = (403, refused)
    with pytest.raises(KubeError, match="pods is forbidden"):
        show(cluster)


def test_lines_break_only_where_the_node_broke_them_however_they_come():
    text = "".join([said(1, f"a\u2028{TRACE}"), said(2, f"b\x85{TRACE}"), said(3, TRACE)[:-1]])
    chunks = [bytes([one]) for one in text.encode()]
    answer = httpx.Response(200, content=iter(chunks))
    source = found.Source("apps", "rest-1", "main")
    with httpx.Client(
        transport=httpx.MockTransport(lambda _: answer), base_url="http://localhost"
    ) as api:
        lines = reading.find(api, [source], 60, Sought.parse(TRACE).pattern, lambda _: True)
    assert [line.text for line in lines.lines] == [f"a\u2028{TRACE}", f"b\x85{TRACE}", TRACE]


@pytest.mark.parametrize(
    ("said", "is_so"), [("", 3600), ("30s", 30), ("15min", 900), ("2d", 172800)]
)
def test_how_far_back_is_said_as_people_say_it(said: str, is_so: int):
    assert command.seconds(said) == is_so


@pytest.mark.parametrize("said", ["0s", "31d", "1w", "-1h", "1 h", "h"])
def test_another_period_is_refused(said: str):
    with pytest.raises(RefusedError, match=f"SINCE={said}: say how far back, from 1s to 30d"):
        command.seconds(said)
