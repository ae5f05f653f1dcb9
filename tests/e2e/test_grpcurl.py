"""Tasks for whoever has no code of ours: by grpcurl, through the published port."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from bootstrap.checkout import Checkout
from loadtests.tokens import Tokens
from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from tests.e2e.cluster import wait_for
from tests.harness.grpcurl import Answer, Grpcurl

TASKS = "millrace.tasks.v1.TaskService"
COMPLETED = "TASK_STATUS_COMPLETED"
DONE_SECONDS = 60.0
TEXT = {"text": "to be, or not to be"}


@pytest.fixture
def address(checkout: Checkout) -> str:
    return f"127.0.0.1:{checkout.port('grpc')}"


@pytest.fixture
def client(address: str, registered: Tokens) -> Grpcurl:
    return Grpcurl(address, registered.header())


def ask(client: Grpcurl, method: str, **request: Any) -> Answer:
    return client.call(f"{TASKS}/{method}", **request)


def task_for(client: Grpcurl, resource: str) -> Any:
    """A task of a resource, as it was when it was asked for."""
    given = {"resource_id": resource, "action": "terms", "input": TEXT}
    return ask(client, "ProcessTask", **given).only["task"]


def completed(client: Grpcurl, task: str) -> Any:
    """A task at its end."""

    def at_its_end() -> Any:
        found = ask(client, "GetTaskStatus", task_id=task).only["task"]
        return found if found["status"] == COMPLETED else None

    return wait_for(f"task {task} to be completed", at_its_end, seconds=DONE_SECONDS)


def test_the_server_tells_what_it_can_be_asked(address: str) -> None:
    nobody = Grpcurl(address)
    assert {TASKS, "grpc.health.v1.Health"} <= {*nobody.services()}
    told = nobody.described(TASKS)
    for method in tasks_pb2.DESCRIPTOR.services_by_name["TaskService"].methods:
        assert f"rpc {method.name} ( .{method.input_type.full_name} )" in told
    assert nobody.call("grpc.health.v1.Health/Check").only == {"status": "SERVING"}


def test_a_task_is_asked_for_looked_at_until_it_is_completed_and_listed(
    client: Grpcurl, prefix: str
) -> None:
    made = task_for(client, prefix)
    assert (made["resource_id"], made["action"]) == (prefix, "terms")
    done = completed(client, made["id"])
    assert '"be":2' in done["result"]
    assert done["create_time"] == made["create_time"]
    assert ask(client, "ListTasks", resource_id=prefix).only == {"tasks": [done]}
    pending = ask(client, "ListTasks", resource_id=prefix, status="TASK_STATUS_PENDING")
    assert pending.only == {}


def test_a_watch_tells_of_a_task(client: Grpcurl, prefix: str) -> None:
    with client.stream(f"{TASKS}/WatchTasks", resource_id=prefix) as messages:
        began = next(messages)
        assert "task" not in began
        assert began["resume_token"]
        made = task_for(client, prefix)
        told = next(one for one in messages if "task" in one)
    assert told["task"]["id"] == made["id"]
    assert told["resume_token"]


def test_nobody_is_told_anything_without_a_token(address: str, prefix: str) -> None:
    answer = ask(Grpcurl(address), "ListTasks", resource_id=prefix)
    assert answer.code == grpc.StatusCode.UNAUTHENTICATED.value[0]
    assert answer.messages == []
    assert answer.details["RequestInfo"]["request_id"]


def test_a_field_that_is_refused_is_named(client: Grpcurl, prefix: str) -> None:
    answer = ask(client, "ProcessTask", resource_id=prefix, action="no-such")
    assert answer.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    [violation] = answer.details["BadRequest"]["field_violations"]
    assert violation["field"] == "action"
    assert "digest, terms" in violation["description"]
    assert ask(client, "ListTasks", resource_id=prefix).only == {}
