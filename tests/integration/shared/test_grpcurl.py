"""What a service tells of its API is enough for a client that has nothing else: grpcurl."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from prometheus_client import CollectorRegistry

from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from services.contracts.scopes import TASKS_READ, TASKS_WRITE
from services.shared.auth.guard import TokenGuard
from services.shared.auth.keys import Keys
from services.shared.grpc.calls import Call
from services.shared.grpc.errors import invalid
from services.shared.grpc.methods import Method, Service
from services.shared.grpc.server import GrpcServer
from services.shared.grpc.settings import GrpcSettings
from services.shared.http.health import Readiness
from services.shared.http.problem import FieldError
from services.shared.runtime.settings import ServiceSettings
from tests.harness.grpcurl import Answer, Grpcurl
from tests.harness.issuer import Issuer

TASKS = "millrace.tasks.v1.TaskService"
OF_TASK = {"id": "a-task", "resource_id": "a-resource", "attempts": 2}


async def process(request: Any, _call: Call) -> Any:
    if not request.action:
        raise invalid(FieldError(field="action", reason="must be one of digest, terms"))
    given = f"{request.action} {dict(request.input)} {request.wait.ToJsonString()}"
    task = tasks_pb2.Task(**OF_TASK, result=given, status=tasks_pb2.TASK_STATUS_COMPLETED)
    task.create_time.FromJsonString("2026-11-23T12:00:00Z")
    return tasks_pb2.ProcessTaskResponse(task=task)


async def nothing(_request: Any, _call: Call) -> Any:
    return tasks_pb2.ListTasksResponse()


async def watch(_request: Any, _call: Call) -> AsyncIterator[Any]:
    yield tasks_pb2.WatchTasksResponse()
    yield tasks_pb2.WatchTasksResponse(resume_token="one", task=tasks_pb2.Task(id="a-task"))
    await asyncio.Event().wait()


METHODS = (
    Method("ProcessTask", process, TASKS_WRITE),
    Method("GetTaskStatus", nothing, TASKS_READ),
    Method("ListTasks", nothing, TASKS_READ),
    Method("WatchTasks", watch, TASKS_READ),
)


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        yield running


@asynccontextmanager
async def serving(issuer: Issuer, **tls: Any) -> AsyncIterator[str]:
    """The address of a server of the tasks' API that asks for tokens."""
    registry = CollectorRegistry()
    keys = Keys(issuer.jwks_url)
    server = GrpcServer(
        [Service(tasks_pb2.DESCRIPTOR.services_by_name["TaskService"], METHODS, lambda _: None)],
        GrpcSettings(host="127.0.0.1", port=0, **tls),
        ServiceSettings(service_name="svc", drain_seconds=0),
        readiness=Readiness(registry),
        registry=registry,
        guard=TokenGuard(issuer.settings, keys, registry),
    )
    stop = asyncio.Event()
    await server.start()
    async with asyncio.TaskGroup() as group:
        fresh = group.create_task(keys.keep_fresh(60))
        group.create_task(server.serve(stop))
        try:
            yield f"127.0.0.1:{server.port}"
        finally:
            fresh.cancel()
            stop.set()


@pytest.fixture
async def address(issuer: Issuer) -> AsyncIterator[str]:
    async with serving(issuer, tls="off") as address:
        yield address


def bearer(issuer: Issuer, *scopes: str) -> str:
    return f"Bearer {issuer.token(scope=' '.join(scopes or (TASKS_READ, TASKS_WRITE)))}"


async def ask(client: Grpcurl, method: str, **request: Any) -> Answer:
    """Beside the server, which is of this process."""
    return await asyncio.to_thread(client.call, f"{TASKS}/{method}", **request)


async def test_reflection_tells_all_that_there_is_without_a_token(address: str) -> None:
    nobody = Grpcurl(address)
    assert await asyncio.to_thread(nobody.services) == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        TASKS,
    ]
    told = await asyncio.to_thread(nobody.described, TASKS)
    for method in tasks_pb2.DESCRIPTOR.services_by_name["TaskService"].methods:
        assert f"rpc {method.name} (" in told
    told = await asyncio.to_thread(nobody.described, f"{TASKS}.WatchTasks")
    assert "returns ( stream .millrace.tasks.v1.WatchTasksResponse )" in told
    told = await asyncio.to_thread(nobody.described, "millrace.tasks.v1.ProcessTaskRequest")
    assert "string resource_id = 1 [(.google.api.field_behavior) = REQUIRED];" in told


async def test_a_call_is_made_of_json_and_answered_as_json(address: str, issuer: Issuer) -> None:
    client = Grpcurl(address, bearer(issuer))
    request = {"action": "terms", "input": {"text": "an äther"}, "wait": "1.500s"}
    answer = await ask(client, "ProcessTask", **request)
    assert answer.only == {
        "task": {
            **OF_TASK,
            "status": "TASK_STATUS_COMPLETED",
            "result": "terms {'text': 'an äther'} 1.500s",
            "create_time": "2026-11-23T12:00:00Z",
        }
    }


async def test_a_field_that_is_refused_is_named(address: str, issuer: Issuer) -> None:
    answer = await ask(Grpcurl(address, bearer(issuer)), "ProcessTask")
    assert answer.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert answer.details["BadRequest"]["field_violations"] == [
        {"field": "action", "description": "must be one of digest, terms"}
    ]
    assert answer.details["ErrorInfo"]["domain"] == "millrace"
    assert answer.details["RequestInfo"]["request_id"]


async def test_without_a_token_or_its_scope_nothing_is_done(address: str, issuer: Issuer) -> None:
    answer = await ask(Grpcurl(address), "ListTasks")
    assert answer.code == grpc.StatusCode.UNAUTHENTICATED.value[0]
    reads = Grpcurl(address, bearer(issuer, TASKS_READ))
    assert (await ask(reads, "ListTasks")).only == {}
    answer = await ask(reads, "ProcessTask", action="terms")
    assert answer.code == grpc.StatusCode.PERMISSION_DENIED.value[0]


async def test_a_stream_is_read_while_it_goes_on(address: str, issuer: Issuer) -> None:
    client = Grpcurl(address, bearer(issuer))

    def first_two() -> list[Any]:
        with client.stream(f"{TASKS}/WatchTasks") as messages:
            return [next(messages), next(messages)]

    assert await asyncio.to_thread(first_two) == [
        {},
        {"task": {"id": "a-task"}, "resume_token": "one"},
    ]


async def test_over_tls_the_server_is_verified(issuer: Issuer, tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    shown = authority.issue_cert("tasks.example")
    shown.private_key_pem.write_to_path(tmp_path / "tls.key")
    shown.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    stranger.cert_pem.write_to_path(tmp_path / "stranger.crt")
    files = {"certificate_file": tmp_path / "tls.crt", "key_file": tmp_path / "tls.key"}
    async with serving(issuer, tls="required", **files) as address:
        over_tls = Grpcurl(address, bearer(issuer), tmp_path / "ca.crt", "tasks.example")
        assert (await ask(over_tls, "ListTasks")).only == {}
        assert TASKS in await asyncio.to_thread(over_tls.services)
        for other in (
            Grpcurl(address, bearer(issuer), tmp_path / "stranger.crt", "tasks.example"),
            Grpcurl(address, bearer(issuer), tmp_path / "ca.crt", "other.example"),
            Grpcurl(address, bearer(issuer)),
        ):
            with pytest.raises(AssertionError, match="Failed to dial"):
                await asyncio.to_thread(other.services)
