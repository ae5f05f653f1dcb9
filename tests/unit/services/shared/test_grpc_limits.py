"""How long a call may take, how large its messages and how many of its kind there may be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from structlog.testing import capture_logs

from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from services.shared.grpc.calls import Call
from services.shared.grpc.settings import GrpcSettings
from services.shared.runtime.settings import SettingsError, load
from tests.unit.services.shared.grpc_world import (
    SOON,
    TASKS,
    World,
    eventually,
    get,
    process,
    serving,
)


class Held:
    """A handler that waits until it is let go, and notes how it ended."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended: list[str] = []
        self.remaining: list[float] = []
        self.gate = asyncio.Event()

    @property
    def handler(self) -> Any:
        async def hold(request: Any, call: Call) -> Any:
            self.begun += 1
            self.remaining.append(call.remaining())
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.ended.append("cancelled")
                raise
            self.ended.append("done")
            return await process(request, call)

        return hold


async def test_a_call_without_a_deadline_gets_the_services_own() -> None:
    held = Held()
    async with serving(ProcessTask=held.handler, settings={"default_seconds": 0.1}) as world:
        ended = await world.call(timeout=None)
        assert (ended.code, ended.reason) == ("DEADLINE_EXCEEDED", "TOO_LATE")
        assert "0.1 s" in ended.message
        assert "set a deadline" in ended.message
        assert 0 < held.remaining[0] <= 0.1
        assert held.ended == ["cancelled"]
        assert world.handled("ProcessTask", "DEADLINE_EXCEEDED") == 1


async def test_a_deadline_that_is_too_far_off_is_cut() -> None:
    held = Held()
    most = {"default_seconds": 0.1, "most_seconds": 0.1}
    async with serving(ProcessTask=held.handler, settings=most) as world:
        ended = await world.call(timeout=1000)
        assert (ended.code, ended.reason) == ("DEADLINE_EXCEEDED", "TOO_LATE")
        assert held.ended == ["cancelled"]


async def test_at_its_clients_deadline_a_call_is_cancelled_down_to_what_it_waits_for() -> None:
    held = Held()
    async with serving(ProcessTask=held.handler) as world:
        ended = await world.call(timeout=0.15)
        assert ended.code == "DEADLINE_EXCEEDED"
        await eventually(lambda: world.handled("ProcessTask", "DEADLINE_EXCEEDED") == 1)
        assert 0 < held.remaining[0] <= 0.15
        assert held.ended == ["cancelled"]


async def test_a_call_whose_deadline_is_over_does_not_begin() -> None:
    begun: list[str] = []

    async def block(request: Any, call: Call) -> Any:
        begun.append(request.task_id)
        if request.task_id == "first":
            time.sleep(0.3)  # nothing else is looked at meanwhile
        return await get(request, call)

    async with serving(GetTaskStatus=block) as world:
        await world.call()
        first, second = (tasks_pb2.GetTaskStatusRequest(task_id=one) for one in ("first", "second"))
        ended = await asyncio.gather(
            world.call("GetTaskStatus", first), world.call("GetTaskStatus", second, timeout=0.1)
        )
        assert [one.code for one in ended] == ["OK", "DEADLINE_EXCEEDED"]
        assert begun == ["first"]


async def test_a_client_that_gives_up_has_its_call_cancelled() -> None:
    held = Held()
    async with serving(ProcessTask=held.handler) as world:
        call = world.unary("ProcessTask")(b"")
        await eventually(lambda: held.begun)
        call.cancel()
        await eventually(lambda: world.handled("ProcessTask", "CANCELLED") == 1)
        assert held.ended == ["cancelled"]
        assert world.sample("grpc_server_in_flight") == 0


async def test_a_client_that_vanishes_has_its_calls_cancelled() -> None:
    held = Held()
    async with serving(ProcessTask=held.handler) as world:
        calls = [world.unary("ProcessTask")(b"") for _ in range(3)]
        await eventually(lambda: held.begun == 3)
        await world.channel.close()
        await eventually(lambda: world.handled("ProcessTask", "CANCELLED") == 3)
        assert held.ended == ["cancelled"] * 3
        assert all(call.cancelled() for call in calls)


async def test_a_message_that_is_too_large_is_refused_with_the_limit() -> None:
    async with serving(settings={"max_request_bytes": 1024}) as world:
        fits = tasks_pb2.ProcessTaskRequest(resource_id="x" * 1000)
        assert (await world.call(request=fits)).code == "OK"
        for size in (1025, 3000):
            large = tasks_pb2.ProcessTaskRequest(resource_id="x" * size)
            ended = await world.call(request=large)
            assert (ended.code, ended.reason) == ("RESOURCE_EXHAUSTED", "REQUEST_TOO_LARGE")
            assert "1024 bytes" in ended.message
        assert world.handled("ProcessTask", "RESOURCE_EXHAUSTED") == 2


async def test_a_message_that_is_far_too_large_is_never_held() -> None:
    async with serving(settings={"max_request_bytes": 1024}) as world:
        ended = await world.call(request=b"x" * 100_000)
        assert ended.code == "RESOURCE_EXHAUSTED"
        assert (await world.call()).code == "OK"


async def test_a_message_that_is_far_too_large_when_it_is_unpacked_is_never_held() -> None:
    async with serving(settings={"max_request_bytes": 1024}) as world:
        for size, code in ((900, "OK"), (50_000_000, "RESOURCE_EXHAUSTED")):
            # The client may send as much as it likes, and packed it is little.
            text = tasks_pb2.ProcessTaskRequest(resource_id="x" * size).SerializeToString()
            call = world.unary("ProcessTask")(text, compression=grpc.Compression.Gzip)
            assert (await call.code()).name == code


async def test_calls_whose_message_never_comes_are_bounded() -> None:
    settings = {"calls": 2, "streams": 2}

    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async with serving(settings=settings) as world:
        of = world.channel.stream_unary(f"/{TASKS}/ProcessTask")
        calls = [of(nothing()) for _ in range(20)]
        await eventually(lambda: sum(call.done() for call in calls) == 12)
        codes = {(await call.code()).name for call in calls if call.done()}
        assert codes == {"RESOURCE_EXHAUSTED"}
        for call in calls:
            call.cancel()
        await eventually_ok(world)


async def eventually_ok(world: World) -> None:
    """Wait until calls are answered again."""
    async with asyncio.timeout(SOON):
        while (await world.call()).code != "OK":
            await asyncio.sleep(0.01)


async def test_a_response_that_is_too_large_is_our_mistake() -> None:
    async def too_much(_request: Any, _call: Call) -> Any:
        return tasks_pb2.ListTasksResponse(next_page_token="x" * 2000)

    async with serving(ListTasks=too_much, settings={"max_response_bytes": 1024}) as world:
        with capture_logs() as lines:
            assert (await world.call("ListTasks")).code == "INTERNAL"
        assert "call_failed" in [line["event"] for line in lines]


async def test_calls_beyond_the_limit_are_refused_and_told_when_to_come_again() -> None:
    held = Held()
    async with serving(ProcessTask=held.handler, settings={"calls": 2}) as world:
        under_way = [asyncio.create_task(world.call()) for _ in range(2)]
        await eventually(lambda: held.begun == 2)
        assert world.sample("grpc_server_in_flight") == 2
        ended = await world.call("ListTasks")
        assert (ended.code, ended.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY")
        assert ended.detail(error_details_pb2.RetryInfo).retry_delay.seconds == 1
        # Who looks after the process must not take it for dead because it is busy.
        probe = await world.call(service="grpc.health.v1.Health", method="Check", request=b"")
        assert probe.code == "OK"
        held.gate.set()
        assert [one.code for one in await asyncio.gather(*under_way)] == ["OK", "OK"]
        assert (await world.call("ListTasks")).code == "OK"
        assert world.sample("grpc_server_in_flight") == 0


async def test_calls_of_one_connection_beyond_its_limit_wait_on_the_clients_side() -> None:
    held = Held()
    async with serving(ProcessTask=held.handler, settings={"calls_per_connection": 2}) as world:
        await world.call("ListTasks")  # the client has heard of the limit
        under_way = [asyncio.create_task(world.call()) for _ in range(5)]
        await eventually(lambda: held.begun == 2)
        await asyncio.sleep(0.05)
        assert held.begun == 2
        held.gate.set()
        assert {one.code for one in await asyncio.gather(*under_way)} == {"OK"}


async def test_clients_are_asked_to_connect_anew_and_no_call_fails_by_it() -> None:
    async with serving(settings={"connection_seconds": 1}) as world:
        states: list[grpc.ChannelConnectivity] = []

        async def watch() -> None:
            while True:
                states.append(world.channel.get_state(try_to_connect=True))
                await world.channel.wait_for_state_change(states[-1])

        watching = asyncio.create_task(watch())
        async with asyncio.timeout(SOON):
            while states.count(grpc.ChannelConnectivity.READY) < 2:
                assert (await world.call()).code == "OK"
                await asyncio.sleep(0.02)
        watching.cancel()


def test_settings_that_contradict_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRPC_TLS", "required")
    with pytest.raises(SettingsError, match="GRPC_CERTIFICATE_FILE: Value error, not set; name"):
        load(GrpcSettings)
    monkeypatch.setenv("GRPC_TLS", "off")
    assert load(GrpcSettings).certificate_file is None
    monkeypatch.setenv("GRPC_DEFAULT_SECONDS", "61")
    with pytest.raises(SettingsError, match="default_seconds is above most_seconds"):
        load(GrpcSettings)
