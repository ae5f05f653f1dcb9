"""Asking for tasks and reading them, over a channel."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2

from services.contracts.ids import new_id
from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from services.contracts.scopes import TASKS_READ, TASKS_WRITE
from services.grpc_service import api as module
from services.grpc_service.api import task_service
from services.grpc_service.model import Status
from services.grpc_service.settings import TaskSettings
from services.shared.grpc.methods import matched
from tests.unit.services.grpc_service.tasks_world import QUICK, Api, Memory, api
from tests.unit.services.shared.grpc_world import TASKS, Ended, eventually, rest_of

PENDING, COMPLETED = tasks_pb2.TASK_STATUS_PENDING, tasks_pb2.TASK_STATUS_COMPLETED


def asked(resource: str = "r", **more: Any) -> tasks_pb2.ProcessTaskRequest:
    return tasks_pb2.ProcessTaskRequest(**{"resource_id": resource, "action": "digest", **more})


def waiting(seconds: float, **more: Any) -> tasks_pb2.ProcessTaskRequest:
    wait = duration_pb2.Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
    return asked(wait=wait, **more)


def of_field(ended: Ended) -> str:
    """The one field that was refused."""
    assert (ended.code, ended.reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
    [violation] = ended.detail(error_details_pb2.BadRequest).field_violations
    assert violation.description
    return violation.field


@pytest.fixture
async def tasks() -> AsyncIterator[Api]:
    async with api(page_size=2, page_most=3, input_bytes=1000) as made:
        yield made


async def test_each_method_needs_its_scope() -> None:
    service = task_service(Memory(), None, TaskSettings(**QUICK))  # type: ignore[arg-type]
    assert {method.name: method.needs for method, _ in matched(service)} == {
        "ProcessTask": TASKS_WRITE,
        "GetTaskStatus": TASKS_READ,
        "ListTasks": TASKS_READ,
        "WatchTasks": TASKS_READ,
    }


async def test_a_task_is_made_of_what_was_given_and_of_where_the_call_comes_from(
    tasks: Api,
) -> None:
    request = asked()
    request.input.update({"b": [1, 2.5, None, True], "a": {"text": "ä", "big": 2.0**60}})
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    metadata = {"x-correlation-id": "mine", "traceparent": traceparent}
    ended = await tasks.call("ProcessTask", request, metadata=metadata)
    [(task_id, given)] = tasks.memory.inputs.items()
    task = ended.response.task
    assert (task.id, task.resource_id, task.action, task.status) == (
        task_id,
        "r",
        "digest",
        PENDING,
    )
    assert (task.result, task.error, task.attempts) == ("", "", 0)
    assert task.create_time.ToJsonString() == "2026-01-02T03:04:05Z"
    assert (
        given.input == '{"a":{"big":1.152921504606847e+18,"text":"\\u00e4"},"b":[1,2.5,null,true]}'
    )
    [origin] = tasks.memory.origins
    assert origin.correlation_id == "mine"
    assert (origin.traceparent or "").split("-")[1] == traceparent.split("-")[1]


async def test_no_input_is_an_empty_one(tasks: Api) -> None:
    await tasks.call("ProcessTask", asked())
    assert [given.input for given in tasks.memory.inputs.values()] == ["{}"]


async def test_a_request_that_comes_again_is_the_same_task(tasks: Api) -> None:
    request = asked(request_id=str(uuid.uuid4()))
    first = (await tasks.call("ProcessTask", request)).response.task
    tasks.memory.end(tasks.memory.tasks[first.id])
    again = (await tasks.call("ProcessTask", request)).response.task
    assert (again.id, again.status, again.result) == (first.id, COMPLETED, "{}")
    request.resource_id = "another"
    ended = await tasks.call("ProcessTask", request)
    assert (ended.code, ended.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assert "take a new one" in ended.message


async def test_a_resource_that_was_deleted_has_no_more_tasks(tasks: Api) -> None:
    tasks.memory.gone.add("r")
    ended = await tasks.call("ProcessTask", asked())
    assert (ended.code, ended.reason) == ("FAILED_PRECONDITION", "RESOURCE_DELETED")


def _nan() -> tasks_pb2.ProcessTaskRequest:
    request = asked()
    request.input.update({"a": float("nan")})
    return request


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (asked(""), "resource_id"),
        (asked("x" * 101), "resource_id"),
        (asked("a\0b"), "resource_id"),
        (asked(action="created"), "action"),
        (asked(request_id="1"), "request_id"),
        (asked(input={"a": "x" * 1000}), "input"),
        (_nan(), "input"),
        (asked(wait=duration_pb2.Duration(seconds=-1)), "wait"),
        (asked(wait=duration_pb2.Duration(nanos=-1)), "wait"),
        (asked(wait=duration_pb2.Duration(nanos=2 * 10**9)), "wait"),
    ],
    ids=str,
)
async def test_what_is_no_task_is_refused_by_its_field(
    tasks: Api, request_: Any, field: str
) -> None:
    assert of_field(await tasks.call("ProcessTask", request_)) == field
    assert tasks.memory.tasks == {}


async def test_a_call_may_wait_for_the_end_of_its_task(tasks: Api) -> None:
    call = asyncio.create_task(tasks.call("ProcessTask", waiting(15)))
    await eventually(lambda: len(tasks.watch) == 1)
    [task] = tasks.memory.tasks.values()
    tasks.memory.put(task)
    tasks.memory.make("r")
    tasks.memory.make("another")
    await asyncio.sleep(0)
    assert not call.done()
    reads = tasks.memory.reads
    tasks.memory.end(task)
    ended = await call
    assert (ended.response.task.id, ended.response.task.status) == (task.id, COMPLETED)
    assert tasks.memory.reads <= reads + 5
    assert len(tasks.watch) == 0


async def test_a_task_that_ends_before_anybody_watches_is_not_waited_for(
    tasks: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = tasks.memory.get

    async def ended_meanwhile(task_id: str) -> Any:
        tasks.memory.end(tasks.memory.tasks[task_id])
        return await get(task_id)

    monkeypatch.setattr(tasks.memory, "get", ended_meanwhile)
    ended = await tasks.call("ProcessTask", waiting(15))
    assert ended.response.task.status == COMPLETED


@pytest.mark.parametrize(
    ("wait", "timeout", "most"), [(0.2, 15, 30), (1000, 15, 0.2), (1000, 0.6, 30)]
)
async def test_a_wait_ends_with_the_first_of_its_limits_and_the_task_as_it_is(
    wait: float, timeout: float, most: float
) -> None:
    async with api(wait_seconds=most) as tasks:
        ended = await tasks.call("ProcessTask", waiting(wait), timeout=timeout)
        assert (ended.code, ended.response.task.status) == ("OK", PENDING)
        await eventually(lambda: len(tasks.watch) == 0)


async def test_a_wait_is_no_time_that_the_service_took(tasks: Api) -> None:
    began = time.perf_counter()
    await tasks.call("ProcessTask", waiting(0.25))
    about = {"service": TASKS, "method": "ProcessTask", "type": "unary"}
    counted = tasks.world.sample("grpc_server_handling_seconds_sum", **about)
    assert 0 < counted <= time.perf_counter() - began - 0.24


async def test_a_call_without_time_to_wait_does_not(
    tasks: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TO_ANSWER", 1000.0)
    ended = await tasks.call("ProcessTask", waiting(15))
    assert ended.response.task.status == PENDING
    assert tasks.memory.reads == 1


async def test_who_waits_is_answered_when_the_process_is_to_stop(tasks: Api) -> None:
    call = asyncio.create_task(tasks.call("ProcessTask", waiting(15)))
    await eventually(lambda: len(tasks.watch) == 1)
    tasks.stopping.set()
    tasks.memory.bell.set()
    assert (await call).response.task.status == PENDING
    assert (await tasks.call("ProcessTask", waiting(15))).response.task.status == PENDING


async def test_a_task_that_was_made_is_told_of_though_the_database_goes_away_meanwhile(
    tasks: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = tasks.memory.create

    async def and_away(*given: Any) -> Any:
        made = await create(*given)
        tasks.memory.away = True
        return made

    monkeypatch.setattr(tasks.memory, "create", and_away)
    ended = await tasks.call("ProcessTask", waiting(15))
    assert ended.response.task.status == PENDING


async def test_a_task_is_told_as_it_is(tasks: Api) -> None:
    task = tasks.memory.make("r")
    tasks.memory.end(task, attempts=3)
    request = tasks_pb2.GetTaskStatusRequest(task_id=task.id)
    found = (await tasks.call("GetTaskStatus", request)).response.task
    assert (found.id, found.status, found.result, found.attempts) == (task.id, COMPLETED, "{}", 3)


@pytest.mark.parametrize(
    "task_id", [new_id(), "1", "x" * 1000, "a\0b"], ids=["none", "no id", "long", "NUL"]
)
async def test_a_task_that_there_is_not_is_not_found(tasks: Api, task_id: str) -> None:
    request = tasks_pb2.GetTaskStatusRequest(task_id=task_id)
    ended = await tasks.call("GetTaskStatus", request)
    assert (ended.code, ended.reason) == ("NOT_FOUND", "TASK_NOT_FOUND")
    assert "ListTasks" in ended.message


async def test_a_task_without_an_id_is_asked_for_by_mistake(tasks: Api) -> None:
    ended = await tasks.call("GetTaskStatus", tasks_pb2.GetTaskStatusRequest())
    assert of_field(ended) == "task_id"


async def pages(tasks: Api, **fields: Any) -> list[list[str]]:
    found: list[list[str]] = []
    token = ""
    while True:
        request = tasks_pb2.ListTasksRequest(page_token=token, **fields)
        page = (await tasks.call("ListTasks", request)).response
        found.append([task.id for task in page.tasks])
        token = page.next_page_token
        if not token:
            return found


async def test_tasks_are_listed_in_pages_of_a_size_within_bounds(tasks: Api) -> None:
    ids = [tasks.memory.make(f"r-{number % 2}").id for number in range(7)][::-1]
    assert await pages(tasks) == [ids[:2], ids[2:4], ids[4:6], ids[6:]]
    assert await pages(tasks, page_size=1000) == [ids[:3], ids[3:6], ids[6:]]
    assert await pages(tasks, page_size=1, resource_id="r-1") == [[one] for one in ids[1::2]]
    assert await pages(tasks, action="terms") == [[]]


async def test_tasks_are_listed_by_status(tasks: Api) -> None:
    made = [tasks.memory.make("r") for _ in range(3)]
    tasks.memory.make("r", status=Status.FAILED, action="terms")
    tasks.memory.end(made[1])
    assert await pages(tasks, status=COMPLETED) == [[made[1].id]]
    assert await pages(tasks, status=PENDING, page_size=1) == [[made[2].id], [made[0].id]]
    assert len((await pages(tasks, status=tasks_pb2.TASK_STATUS_FAILED, action="terms"))[0]) == 1


async def test_a_page_of_large_results_has_fewer_tasks_and_none_is_left_out(
    tasks: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [tasks.memory.make("r", result="x" * size).id for size in (10, 900, 10, 2000, 10, 10)]
    monkeypatch.setattr(module, "_PAGE_BYTES", 1000)
    ids.reverse()
    assert await pages(tasks, page_size=3) == [ids[:2], ids[2:3], ids[3:4], ids[4:5], ids[5:]]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"page_size": -1}, "page_size"),
        ({"status": 9}, "status"),
        ({"status": -1}, "status"),
        ({"resource_id": "x" * 101}, "resource_id"),
        ({"action": "a\0b"}, "action"),
        ({"page_token": "x"}, "page_token"),
    ],
    ids=str,
)
async def test_what_is_no_question_is_refused_by_its_field(
    tasks: Api, fields: dict[str, Any], field: str
) -> None:
    assert of_field(await tasks.call("ListTasks", tasks_pb2.ListTasksRequest(**fields))) == field
    if field != "page_size" and field != "page_token":
        stream = tasks.world.watching(**fields)
        assert of_field(await _refused(stream)) == field


async def test_a_page_token_is_of_its_filters(tasks: Api) -> None:
    for _ in range(3):
        tasks.memory.make("r")
    first = await tasks.call("ListTasks", tasks_pb2.ListTasksRequest())
    token = first.response.next_page_token
    request = tasks_pb2.ListTasksRequest(page_token=token, resource_id="r")
    assert of_field(await tasks.call("ListTasks", request)) == "page_token"


async def _refused(stream: Any) -> Ended:
    told, ended = await rest_of(stream)
    assert told == []
    return ended


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("ProcessTask", asked()),
        ("GetTaskStatus", tasks_pb2.GetTaskStatusRequest(task_id=new_id())),
        ("ListTasks", tasks_pb2.ListTasksRequest()),
    ],
    ids=["ProcessTask", "GetTaskStatus", "ListTasks"],
)
async def test_without_the_database_a_call_is_to_be_tried_again(
    tasks: Api, method: str, request_: Any
) -> None:
    tasks.memory.away = True
    ended = await tasks.call(method, request_)
    assert (ended.code, ended.reason) == ("UNAVAILABLE", "UNAVAILABLE")
    assert ended.detail(error_details_pb2.RetryInfo).retry_delay.seconds == 2
