"""What every call by gRPC gets, on a real server: ids, statuses with details, metrics, lines."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from structlog.testing import capture_logs

from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from services.shared.grpc import calls, errors
from services.shared.grpc.calls import Call
from services.shared.grpc.errors import StatusError
from services.shared.grpc.methods import Method, Openly, Service, TableError, matched
from services.shared.http.problem import FieldError, ProblemError
from services.shared.runtime import context
from tests.unit.services.shared.grpc_world import DESCRIPTOR, TASKS, get, process, service, serving

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def raising(error: Exception) -> Any:
    async def handler(_request: Any, _call: Call) -> Any:
        raise error

    return handler


async def test_a_call_has_the_correlation_id_of_its_caller_and_a_span_below_the_callers() -> None:
    seen: list[Call] = []

    async def note(request: Any, call: Call) -> Any:
        seen.append(call)
        return await process(request, call)

    async with serving(ProcessTask=note) as world:
        given = {"x-correlation-id": "mine-1", "traceparent": PARENT}
        ended = await world.call(metadata=given)
        assert ended.response.task.resource_id == "r"
        assert ended.trailing["x-correlation-id"] == "mine-1"
        assert seen[0].correlation_id == "mine-1"
        below = context.TraceContext.parse(seen[0].traceparent)
        assert below is not None
        assert below.trace_id == PARENT[3:35]
        assert below.span_id != PARENT[36:52]
        bad = await world.call(metadata={"x-correlation-id": "a b", "traceparent": "no"})
        assert bad.trailing["x-correlation-id"] == seen[1].correlation_id != "a b"


async def test_a_call_has_one_line_in_the_log_and_its_place_in_the_metrics() -> None:
    async with serving() as world:
        with capture_logs() as lines:
            await world.call()
            await world.call(service="grpc.health.v1.Health", method="Check", request=b"")
        [line] = [line for line in lines if line["event"] == "call"]
        assert line["method"] == f"/{TASKS}/ProcessTask"
        assert line["code"] == "OK"
        assert line["duration_ms"] >= 0
        about = {"service": TASKS, "method": "ProcessTask", "type": "unary"}
        assert world.handled("ProcessTask", "OK") == 1
        assert world.sample("grpc_server_started_total", **about) == 1
        assert world.sample("grpc_server_handling_seconds_count", **about) == 1
        assert world.sample("grpc_server_in_flight") == 0


async def test_time_that_a_client_asked_to_wait_is_not_the_services() -> None:
    async def slowly(request: Any, call: Call) -> Any:
        with calls.waiting():
            await asyncio.sleep(0.3)
        return await process(request, call)

    about = {"service": TASKS, "method": "ProcessTask", "type": "unary"}
    async with serving(ProcessTask=slowly) as world:
        began = time.perf_counter()
        await world.call()
        first = world.sample("grpc_server_handling_seconds_sum", **about)
        assert first <= time.perf_counter() - began - 0.3
        await world.call()  # what one has waited is not the next one's
        assert world.sample("grpc_server_handling_seconds_sum", **about) >= first


async def test_only_what_is_notable_is_logged_unless_all_is_wanted() -> None:
    async with serving(access_log="notable", GetTaskStatus=raising(errors.unavailable("it"))) as (
        world
    ):
        with capture_logs() as lines:
            await world.call()
            await world.call("GetTaskStatus")
        assert [line["code"] for line in lines if line["event"] == "call"] == ["UNAVAILABLE"]


async def test_an_error_of_ours_is_internal_without_its_text_and_logged_once() -> None:
    async with serving(ProcessTask=raising(RuntimeError("hunter2"))) as world:
        with capture_logs() as lines:
            ended = await world.call(metadata={"x-correlation-id": "mine-2"})
        assert (ended.code, ended.reason) == ("INTERNAL", "INTERNAL")
        assert "hunter2" not in repr(ended)
        assert ended.detail(error_details_pb2.RequestInfo).request_id == "mine-2"
        assert [line["event"] for line in lines] == ["call_failed", "call"]
        assert lines[0]["exc_info"]
        assert world.handled("ProcessTask", "INTERNAL") == 1


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code.value[0]])
async def test_every_status_arrives_with_its_reason(code: grpc.StatusCode) -> None:
    error = StatusError(code, "SOME_REASON", "do this", about={"limit": "7"})
    async with serving(ProcessTask=raising(error)) as world:
        ended = await world.call()
        assert (ended.code, ended.message, ended.reason) == (code.name, "do this", "SOME_REASON")
        assert dict(ended.detail(error_details_pb2.ErrorInfo).metadata) == {"limit": "7"}
        assert not [x for x in ended.details if isinstance(x, error_details_pb2.RetryInfo)]
        assert world.handled("ProcessTask", code.name) == 1


async def test_what_may_be_tried_again_says_when() -> None:
    async with serving(ProcessTask=raising(errors.unavailable("the database", 1.5))) as world:
        ended = await world.call()
        assert ended.code == "UNAVAILABLE"
        assert "the database" in ended.message
        delay = ended.detail(error_details_pb2.RetryInfo).retry_delay
        assert delay.ToMilliseconds() == 1500


async def test_refused_fields_are_named_and_never_more_than_metadata_can_hold() -> None:
    many = [FieldError(field=f"field_{n}", reason="\N{ROCKET}" * 5000) for n in range(1000)]
    refusals = iter([[FieldError(field="page_size", reason="is negative")], many])

    async def refuse(_request: Any, _call: Call) -> Any:
        raise errors.invalid(*next(refusals))

    async with serving(ProcessTask=refuse) as world:
        ended = await world.call()
        assert (ended.code, ended.reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
        [violation] = ended.detail(error_details_pb2.BadRequest).field_violations
        assert (violation.field, violation.description) == ("page_size", "is negative")
        assert "page_size" in ended.message
        ended = await world.call()
        assert ended.code == "INVALID_ARGUMENT"
        assert 1 < len(ended.detail(error_details_pb2.BadRequest).field_violations) < 10


async def test_a_service_explains_its_own_errors() -> None:
    def explain(error: Exception) -> StatusError | None:
        return errors.unavailable("it") if isinstance(error, ConnectionError) else None

    async with serving(
        explain=explain,
        ProcessTask=raising(ConnectionError()),
        GetTaskStatus=raising(KeyError()),
        ListTasks=raising(ProblemError(404, "no-such-thing", "there is none")),
    ) as world:
        assert (await world.call()).code == "UNAVAILABLE"
        assert (await world.call("GetTaskStatus")).code == "INTERNAL"
        found = await world.call("ListTasks")
        assert (found.code, found.reason) == ("NOT_FOUND", "NO_SUCH_THING")


async def test_a_message_that_is_none_is_refused_and_fields_of_newer_clients_are_left_alone() -> (
    None
):
    async with serving() as world:
        ended = await world.call(request=b"\xff\xff\xff")
        assert (ended.code, ended.reason) == ("INVALID_ARGUMENT", "MALFORMED")
        newer = tasks_pb2.ProcessTaskRequest(resource_id="r").SerializeToString()
        newer += bytes([0xFA, 0x3F, 3]) + b"new"  # field 1023
        assert (await world.call(request=newer)).response.task.resource_id == "r"


@pytest.mark.parametrize("path", [(TASKS, "Nope"), ("no.Such", "ProcessTask"), ("x", "y" * 3000)])
async def test_methods_that_there_are_not_are_counted_as_one(path: tuple[str, str]) -> None:
    async with serving() as world:
        with capture_logs() as lines:
            for _ in range(2):
                ended = await world.call(service=path[0], method=path[1])
                assert (ended.code, ended.reason) == ("UNIMPLEMENTED", "NO_SUCH_METHOD")
        unknown = {"service": "unknown", "method": "unknown", "type": "unary"}
        assert world.sample("grpc_server_handled_total", **unknown, code="UNIMPLEMENTED") == 2
        assert {len(line["method"]) <= 200 for line in lines} == {True}
        assert {line["method"][:8] for line in lines} == {f"/{path[0]}/{path[1]}"[:8]}


async def test_handlers_of_many_calls_do_not_see_each_others_ids() -> None:
    async def echo(request: Any, call: Call) -> Any:
        await asyncio.sleep(0)
        bound: dict[str, Any] = {}
        context.add_ids(None, "", bound)
        assert bound["correlation_id"] == call.correlation_id == request.task_id
        return await get(request, call)

    async with serving(GetTaskStatus=echo) as world:
        ids = [f"call-{n}" for n in range(50)]
        asked = [tasks_pb2.GetTaskStatusRequest(task_id=one) for one in ids]
        ended = await asyncio.gather(
            *(
                world.call("GetTaskStatus", request, metadata={"x-correlation-id": one})
                for request, one in zip(asked, ids, strict=True)
            )
        )
        assert [one.response.task.id for one in ended] == ids


def with_methods(*methods: Method) -> Service:
    return Service(DESCRIPTOR, methods)


async def once(_request: Any, _call: Call) -> Any: ...


OPEN = Openly("of a test")
WHOLE = [Method("ProcessTask", once, OPEN), *service().methods[1:]]


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        (WHOLE[1:], "nothing handles ProcessTask"),
        ([*WHOLE, Method("Undo", once, OPEN)], "has no method Undo; it has ProcessTask"),
        ([*WHOLE, WHOLE[0]], "ProcessTask has more than one handler"),
        ([*WHOLE[:3], Method("WatchTasks", once, OPEN)], "WatchTasks streams: its handler must"),
        (
            [Method("ProcessTask", WHOLE[3].handler, OPEN), *WHOLE[1:]],
            "ProcessTask answers once: its handler must be a coroutine function",
        ),
        ([Method("ProcessTask", once, "tasks:rite"), *WHOLE[1:]], "no scope 'tasks:rite'"),
    ],
)
def test_a_table_that_does_not_fit_its_contract_is_refused_by_name(
    methods: list[Method], said: str
) -> None:
    assert len(matched(with_methods(*WHOLE))) == 4
    with pytest.raises(TableError, match=said):
        matched(with_methods(*methods))
