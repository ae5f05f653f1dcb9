"""Tasks: of the events of resources and for callers, seen from outside, to the rows of their ends.

That none is lost or out of order whatever dies is what test_faults shows, with the events.
"""

import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests import arrivals
from loadtests.tokens import Tokens
from loadtests.traffic import RESOURCES
from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from services.contracts.topics import TASK_COMPLETED, TASK_PROCESS
from tests.e2e.cluster import pods_of, wait_for, wait_until_settled
from tests.e2e.conftest import Say
from tests.e2e.steady import TIMEOUT, under_way
from tests.e2e.tasks import Calling, Opened, Way, asked_for, method, way_to

APPS, SERVICE = "apps", "grpc-service"
PER_SECOND = 200
ARRIVE_SECONDS = 120.0
WATCH_SECONDS = 60.0
PENDING, COMPLETED = tasks_pb2.TASK_STATUS_PENDING, tasks_pb2.TASK_STATUS_COMPLETED

pytestmark = pytest.mark.usefixtures("settled")


@pytest.fixture
def way(checkout: Checkout, registered: Tokens) -> Way:
    return way_to(checkout, registered)


@pytest.fixture
def channel(way: Way) -> Iterator[Opened]:
    with way.open() as channel:
        yield channel


def get(channel: Opened, task_id: str) -> tasks_pb2.Task:
    request = tasks_pb2.GetTaskStatusRequest(task_id=task_id)
    return method(channel, "GetTaskStatus")(request, timeout=TIMEOUT).task


def ask(channel: Opened, request: tasks_pb2.ProcessTaskRequest, **more: Any) -> Any:
    return method(channel, "ProcessTask")(request, timeout=TIMEOUT, **more).task


def listed(channel: Opened, resource_id: str) -> list[tasks_pb2.Task]:
    """The tasks of a resource, the oldest first."""
    request = tasks_pb2.ListTasksRequest(resource_id=resource_id)
    found = method(channel, "ListTasks")(request, timeout=TIMEOUT)
    assert not found.next_page_token
    return [*found.tasks][::-1]


def rows_of_tasks(kube: Kube, resource_id: str) -> list[dict[str, Any]]:
    """What the worker stored of a resource's tasks, by seq. The id is our own API's, or ours."""
    statement = f"""
        SELECT row_to_json(e) FROM (
            SELECT event_type, task_id, action, aggregate_version, payload, correlation_id
            FROM processed_events
            WHERE resource_id = '{resource_id}' AND {arrivals.OF_TASKS} ORDER BY seq) AS e"""
    return list(kube.sql("workerdb", statement))


def arrived(kube: Kube, resource_id: str, count: int) -> list[dict[str, Any]]:
    def all_of_them() -> list[dict[str, Any]] | None:
        rows = rows_of_tasks(kube, resource_id)
        return rows if len(rows) >= count else None

    return wait_for(f"{count} events of tasks", all_of_them, seconds=ARRIVE_SECONDS)


def test_each_event_of_a_resource_has_a_task_that_is_run_and_told_of(
    http: httpx.Client, kube: Kube, channel: Opened, prefix: str
) -> None:
    given = {"X-Correlation-ID": f"{prefix}-correlation"}
    created = http.post(RESOURCES, json={"name": "a name, a word"}, headers=given).json()
    path = f"{RESOURCES}/{created['id']}"
    assert http.put(path, json={"name": "another"}, headers=given).status_code == 200
    assert http.delete(path, headers=given).status_code == 204

    rows = arrived(kube, created["id"], 6)
    tasks = listed(channel, created["id"])
    assert [task.action for task in tasks] == ["created", "updated", "deleted"]
    assert [get(channel, task.id) for task in tasks] == tasks
    for task in tasks:
        assert (task.status, task.attempts, task.error) == (COMPLETED, 1, "")
    results = [json.loads(task.result) for task in tasks]
    assert results[0]["terms"]["counts"] == {"a": 2, "name": 1, "word": 1}
    assert results[1]["terms"]["counts"] == {"another": 1}
    assert results[2] == {"removed": created["id"]}

    assert [row["aggregate_version"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert {row["correlation_id"] for row in rows} == {f"{prefix}-correlation"}
    for kind in (TASK_PROCESS, TASK_COMPLETED):
        mine = [row for row in rows if row["event_type"] == kind]
        assert [(r["task_id"], r["action"]) for r in mine] == [(t.id, t.action) for t in tasks]
    ends = [row["payload"] for row in rows if row["event_type"] == TASK_COMPLETED]
    assert [json.loads(end["result"]) for end in ends] == results

    with pytest.raises(grpc.RpcError) as refused:
        ask(channel, asked_for(created["id"], "too late"))
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_a_task_that_is_asked_for_is_made_once_and_its_rows_name_it(
    kube: Kube, channel: Opened, prefix: str
) -> None:
    request = asked_for(prefix, "to be, or not to be", wait={"seconds": 10})
    named = (("x-correlation-id", f"{prefix}-correlation"),)
    made = ask(channel, request, metadata=named)
    assert ask(channel, request).id == made.id, "the same request is the same task"
    done = wait_for(
        "the task's end",
        lambda: found if (found := get(channel, made.id)).status == COMPLETED else None,
        seconds=ARRIVE_SECONDS,
    )
    assert json.loads(done.result)["terms"]["counts"] == {"be": 2, "to": 2, "not": 1, "or": 1}
    rows = arrived(kube, prefix, 2)
    assert [(row["event_type"], row["task_id"], row["action"]) for row in rows] == [
        (TASK_PROCESS, made.id, "terms"),
        (TASK_COMPLETED, made.id, "terms"),
    ]
    assert {row["correlation_id"] for row in rows} == {f"{prefix}-correlation"}
    assert listed(channel, prefix) == [done]


class Watched:
    """What a watch of a resource's tasks tells, from a token on or from now on."""

    def __init__(self, channel: Opened, resource_id: str, token: str = "") -> None:
        request = tasks_pb2.WatchTasksRequest(resource_id=resource_id, resume_token=token)
        self.token = token
        self.told: dict[str, list[int]] = {}
        """By task, in the order in which it was told."""
        self._stream = method(channel, "WatchTasks")(request, timeout=WATCH_SECONDS)

    def __enter__(self) -> "Watched":
        first = next(self._stream)
        assert not first.HasField("task"), "the first response says that the watch has begun"
        self.token = first.resume_token
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.cancel()

    def until_completed(self, ids: set[str]) -> None:
        """Fails, by the call's deadline, when it is not told of all these ends."""
        while {one for one in ids if self.told.get(one, [PENDING])[-1] == COMPLETED} != ids:
            response = next(self._stream)
            self.token = response.resume_token
            if response.HasField("task"):
                self.told.setdefault(response.task.id, []).append(response.task.status)


def test_a_watch_tells_of_tasks_to_their_ends_and_is_resumed_without_a_gap(
    channel: Opened, prefix: str, say: Say
) -> None:
    with Watched(channel, prefix) as watch:
        # They run one after the other; how many are seen as they wait is a matter of luck, as only
        # the newest state is told.
        first = [ask(channel, asked_for(prefix, f"text {n}")).id for n in range(20)]
        watch.until_completed({*first})
    for task_id in first:
        states = watch.told[task_id]
        assert states == sorted(states), "a state came after a later one"
    waited = [one for one in first if watch.told[one][0] == PENDING]
    meanwhile = [ask(channel, asked_for(prefix, f"text {n}")).id for n in range(5)]
    wait_for(
        "the end of those that nobody watches",
        lambda: get(channel, meanwhile[-1]).status == COMPLETED,
        seconds=WATCH_SECONDS,
    )
    with Watched(channel, prefix, watch.token) as resumed:
        later = ask(channel, asked_for(prefix, "one more")).id
        resumed.until_completed({*meanwhile, later})
    assert {*resumed.told} == {*meanwhile, later}, "what was told before is told again"
    say(f"{len(waited)} of {len(first)} tasks were seen as they waited, and each one's end")


def test_without_a_token_nothing_is_told(checkout: Checkout) -> None:
    request = tasks_pb2.GetTaskStatusRequest(task_id=secrets.token_hex(8))
    with way_to(checkout, None).open() as channel, pytest.raises(grpc.RpcError) as refused:
        method(channel, "GetTaskStatus")(request, timeout=TIMEOUT)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.timeout(420)
def test_a_rollout_under_200_calls_a_second_fails_none(
    kube: Kube, way: Way, prefix: str, say: Say
) -> None:
    target = f"deployment/{SERVICE}"
    before = {pod["metadata"]["uid"] for pod in pods_of(kube, APPS, SERVICE)}
    calling = Calling(per_second=PER_SECOND, way=way, prefix=prefix)
    began = time.monotonic()
    with under_way(calling):
        wait_for("calls", lambda: calling.count > PER_SECOND, seconds=30)
        kube.run("rollout", "restart", target, "-n", APPS)
        kube.run("rollout", "status", target, "-n", APPS, "--timeout=150s", timeout=160)
        # The last of the old pods has ended, too.
        wait_until_settled(kube, seconds=120)
        enough = calling.count + PER_SECOND
        wait_for("calls after it", lambda: calling.count > enough, seconds=30)
        seconds = time.monotonic() - began
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(calling.answered.items()))
    say(
        f"{calling.count} calls in {seconds:.0f} s, {calling.count / seconds:.0f} a second"
        f" ({kinds}); {len(calling.failed)} failed, {calling.retries} were sent again"
    )
    assert calling.failed == []
    assert not before & {pod["metadata"]["uid"] for pod in pods_of(kube, APPS, SERVICE)}
    # Less than asked where two pods that begin leave the client no processor for moments.
    assert calling.count / seconds > 0.5 * PER_SECOND, "it was another load than asked"
    every_task_is_there_once_and_done(kube, prefix, calling.ids)


def every_task_is_there_once_and_done(kube: Kube, prefix: str, ids: list[str]) -> None:
    assert len({*ids}) == len(ids)
    count = f"""
        SELECT json_build_array(count(*), count(*) FILTER (WHERE status = 'completed'))
        FROM tasks WHERE resource_id LIKE '{prefix}-%';"""

    def all_done() -> list[int] | None:
        (found,) = kube.sql("grpcdb", count)
        return found if found[0] == found[1] else None

    there, _ = wait_for("the last task to end", all_done, seconds=ARRIVE_SECONDS)
    assert there == len(ids)
