"""Streams: how they begin, end, are cut off, and what a server that stops tells their clients."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest
from google.rpc import error_details_pb2
from structlog.testing import capture_logs

from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from services.shared.grpc import errors, verdicts
from services.shared.grpc.calls import Call
from services.shared.grpc.errors import StatusError
from services.shared.grpc.load import Ending, Streams
from tests.unit.services.shared.grpc_world import SOON, TASKS, eventually, next_of, rest_of, serving

STREAM = "server_stream"


class Endless:
    """A handler that tells what is put, and notes how it ended."""

    def __init__(self, *, size: int = 1, flood: bool = False) -> None:
        self.begun = 0
        self.told = 0
        self.ended = 0
        self.queue: asyncio.Queue[str] = asyncio.Queue()
        self._size = size
        self._flood = flood

    @property
    def handler(self) -> Any:
        async def tell(_request: Any, _call: Call) -> AsyncIterator[Any]:
            self.begun += 1
            try:
                while True:
                    token = "x" * self._size if self._flood else await self.queue.get()
                    yield tasks_pb2.WatchTasksResponse(resume_token=token)
                    self.told += 1
            finally:
                self.ended += 1

        return tell


async def test_a_stream_tells_and_ends_and_is_counted_once() -> None:
    async with serving() as world:
        with capture_logs() as lines:
            stream = world.watching(resume_token="a", metadata={"x-correlation-id": "mine-3"})
            head = dict(await stream.initial_metadata())
            told, ended = await rest_of(stream)
        assert [one.resume_token for one in told] == ["a0", "a1", "a2"]
        assert ended.code == "OK"
        assert head["x-correlation-id"] == ended.trailing["x-correlation-id"] == "mine-3"
        assert world.handled("WatchTasks", "OK", STREAM) == 1
        about = {"service": TASKS, "method": "WatchTasks", "type": STREAM}
        assert world.sample("grpc_server_started_total", **about) == 1
        assert [line["event"] for line in lines] == ["call"]


async def test_a_client_knows_that_a_stream_is_open_before_there_is_anything_to_tell() -> None:
    endless = Endless()
    async with serving(WatchTasks=endless.handler) as world:
        stream = world.watching()
        async with asyncio.timeout(SOON):
            assert dict(await stream.initial_metadata())["x-correlation-id"]
        assert endless.told == 0
        assert world.sample("grpc_server_streams") == 1
        stream.cancel()


async def test_a_client_that_has_seen_enough_ends_the_handler_and_no_line_is_logged() -> None:
    endless = Endless()
    async with serving(WatchTasks=endless.handler, access_log="notable") as world:
        with capture_logs() as lines:
            stream = world.watching()
            endless.queue.put_nowait("1")
            assert (await next_of(stream)).resume_token == "1"
            stream.cancel()
            await eventually(lambda: world.handled("WatchTasks", "CANCELLED", STREAM) == 1)
        assert endless.ended == 1
        assert world.sample("grpc_server_streams") == 0
        assert lines == []


async def test_a_client_that_closes_its_connection_in_mid_stream_ends_the_handler() -> None:
    endless = Endless(size=1000, flood=True)
    async with serving(WatchTasks=endless.handler) as world:
        stream = world.watching()
        for _ in range(10):
            assert await next_of(stream)
        await world.channel.close()
        await eventually(lambda: world.handled("WatchTasks", "CANCELLED", STREAM) == 1)
        assert endless.ended == 1


class Silent:
    """Passes bytes between a client and a server until it is told to pass nothing any more, and
    keeps both connections open: what a machine that lost its power looks like."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._passing = asyncio.Event()
        self._passing.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    def vanish(self) -> None:
        self._passing.clear()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, far_writer]
        for one, other in ((reader, far_writer), (far_reader, writer)):
            self._tasks.add(asyncio.create_task(self._pass(one, other)))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if self._passing.is_set():
                    writer.write(data)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def test_a_client_whose_machine_is_gone_is_noticed_by_its_silence() -> None:
    endless = Endless()
    keepalive = {"keepalive_seconds": 1, "keepalive_timeout_seconds": 1}
    async with serving(WatchTasks=endless.handler, settings=keepalive) as world:
        between = Silent(world.server.port)
        listener = await asyncio.start_server(between, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stream = channel.unary_stream(f"/{TASKS}/WatchTasks")(b"")
            await stream.initial_metadata()
            between.vanish()
            await eventually(lambda: world.handled("WatchTasks", "CANCELLED", STREAM) == 1)
            assert endless.ended == 1
        listener.close()
        await between.close()


async def test_an_error_in_mid_stream_comes_after_what_was_told() -> None:
    gone = asyncio.Event()

    async def tell(_request: Any, _call: Call) -> AsyncIterator[Any]:
        yield tasks_pb2.WatchTasksResponse(resume_token="1")
        await gone.wait()
        raise errors.unavailable("the database")

    async with serving(WatchTasks=tell) as world:
        stream = world.watching()
        assert (await next_of(stream)).resume_token == "1"
        gone.set()
        told, ended = await rest_of(stream)
        assert told == []
        assert (ended.code, ended.reason) == ("UNAVAILABLE", "UNAVAILABLE")
        assert world.handled("WatchTasks", "UNAVAILABLE", STREAM) == 1


async def test_a_stream_that_was_served_long_enough_is_to_be_resumed() -> None:
    endless = Endless()
    async with serving(WatchTasks=endless.handler, settings={"stream_seconds": 0.15}) as world:
        for timeout in (None, 1000):
            endless.queue.put_nowait("1")
            stream = world.watching(timeout=timeout)
            assert (await next_of(stream)).resume_token == "1"
            told, ended = await rest_of(stream)
            assert told == []
            assert (ended.code, ended.reason) == ("UNAVAILABLE", "SERVED_LONG_ENOUGH")
            assert ended.detail(error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() == 0
        assert endless.ended == 2


async def test_a_stream_ends_at_its_clients_own_deadline() -> None:
    endless = Endless()
    async with serving(WatchTasks=endless.handler) as world:
        _, ended = await rest_of(world.watching(timeout=0.15))
        assert ended.code == "DEADLINE_EXCEEDED"
        await eventually(lambda: world.handled("WatchTasks", "DEADLINE_EXCEEDED", STREAM) == 1)
        assert endless.ended == 1


async def test_streams_beyond_the_limit_are_refused() -> None:
    endless = Endless()
    async with serving(WatchTasks=endless.handler, settings={"streams": 2}) as world:
        streams = [world.watching() for _ in range(2)]
        await eventually(lambda: endless.begun == 2)
        told, ended = await rest_of(world.watching())
        assert told == []
        assert (ended.code, ended.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY")
        assert (await world.call()).code == "OK"
        streams[0].cancel()
        await eventually(lambda: world.sample("grpc_server_streams") == 1)
        endless.queue.put_nowait("1")
        third = world.watching()
        await eventually(lambda: endless.begun == 3)
        for one in (third, streams[1]):
            one.cancel()


async def test_streams_that_need_no_token_take_no_place_from_those_that_do() -> None:
    async with serving(settings={"streams": 10}) as world:
        of = world.channel.unary_stream("/grpc.health.v1.Health/Watch")
        watched = [of(b"") for _ in range(10)]
        for stream in watched:
            await stream.initial_metadata()
        _, ended = await rest_of(of(b""))
        assert (ended.code, ended.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY")
        assert world.sample("grpc_server_streams") == 10
        assert (await rest_of(world.watching()))[1].code == "OK"
        for stream in watched:
            stream.cancel()


async def test_a_server_that_stops_ends_streams_with_unavailable_and_finishes_calls() -> None:
    endless, gate, begun = Endless(), asyncio.Event(), asyncio.Event()

    async def slow(_request: Any, _call: Call) -> Any:
        begun.set()
        await gate.wait()
        return tasks_pb2.ListTasksResponse()

    async with serving(WatchTasks=endless.handler, ListTasks=slow) as world:
        streams = [world.watching() for _ in range(3)]
        for stream in streams:
            await stream.initial_metadata()
        call = asyncio.create_task(world.call("ListTasks"))
        await begun.wait()
        world.stop.set()
        for stream in streams:
            told, ended = await rest_of(stream)
            assert told == []
            assert (ended.code, ended.reason) == ("UNAVAILABLE", "STOPPING")
        assert not call.done()
        gate.set()
        assert (await call).code == "OK"
        await world.serving
        assert (await world.call()).code == "UNAVAILABLE"
        assert endless.ended == 3


async def test_a_server_that_stops_gives_what_is_slow_its_time_and_no_more() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def for_ever(_request: Any, _call: Call) -> Any:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with serving(ListTasks=for_ever, grace=0.1) as world:
        call = asyncio.create_task(world.call("ListTasks"))
        await begun.wait()
        world.stop.set()
        await world.serving
        assert ended.is_set()
        assert (await call).code in ("UNAVAILABLE", "CANCELLED")


async def test_a_client_that_reads_nothing_holds_up_no_stop_for_longer_than_its_time() -> None:
    endless = Endless(size=100_000, flood=True)
    async with serving(WatchTasks=endless.handler, grace=0.2) as world:
        stream = world.watching()
        await eventually(lambda: endless.begun)
        await asyncio.sleep(0.1)
        before = endless.told
        await asyncio.sleep(0.1)
        assert endless.told - before < 5, "it should wait for its client"
        world.stop.set()
        async with asyncio.timeout(SOON):
            await world.serving
        assert endless.ended == 1
        stream.cancel()


@pytest.mark.parametrize("count", [200])
async def test_many_streams_that_come_and_go_leave_nothing(count: int) -> None:
    endless = Endless()
    settings = {"calls_per_connection": 1000}
    async with serving(WatchTasks=endless.handler, settings=settings) as world:
        streams = [world.watching() for _ in range(count)]
        await eventually(lambda: world.sample("grpc_server_streams") == count)
        for number, stream in enumerate(streams):
            if number % 2:
                stream.cancel()
        await eventually(lambda: world.sample("grpc_server_streams") == count // 2)
        world.stop.set()
        ended = await asyncio.gather(*(rest_of(stream) for stream in streams[::2]))
        assert {one.code for _, one in ended} == {"UNAVAILABLE"}
        assert world.sample("grpc_server_streams") == 0


async def test_a_stream_that_was_on_its_way_when_the_server_stopped_ends_as_well() -> None:
    streams, why = Streams(2), verdicts.stopping()
    under_way = Ending(asyncio.current_task())
    streams.take(under_way)
    with contextlib.suppress(asyncio.CancelledError):
        streams.end(why)
        await asyncio.sleep(0)
    assert under_way.why is why
    assert under_way.cancelled()
    with pytest.raises(StatusError, match="about to stop"):
        streams.take(Ending(asyncio.current_task()))
