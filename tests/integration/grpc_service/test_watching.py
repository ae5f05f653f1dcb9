"""Streams of changed tasks on a real database, with writers beside them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tracemalloc
from datetime import timedelta
from typing import Any

import grpc.aio

from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from services.grpc_service import statements
from services.grpc_service.model import Status
from tests.integration.authority import eventually
from tests.integration.grpc_service.conftest import LEASE, Tasks, event
from tests.integration.grpc_service.served import Served, read, served
from tests.unit.services.shared.grpc_world import SOON, next_of

PENDING, RUNNING = tasks_pb2.TASK_STATUS_PENDING, tasks_pb2.TASK_STATUS_RUNNING
COMPLETED = tasks_pb2.TASK_STATUS_COMPLETED


def states(responses: list[Any]) -> list[tuple[str, int]]:
    return [(one.task.resource_id, one.task.status) for one in responses]


async def test_every_step_of_a_task_is_told_and_its_beginning_and_end_at_once(
    tasks: Tasks,
) -> None:
    async with (
        served(tasks, watch_poll_seconds=0.2) as api,
        api.watching() as (every, _),
        api.watching(resource_id="r-2") as (of_one, _),
        api.watching(status=COMPLETED) as (ends, _),
    ):
        await tasks.inbox.process([event("r-1", "c", 1)])
        await tasks.make("r-2")
        assert sorted(states(await read(every, 2))) == [("r-1", PENDING), ("r-2", PENDING)]
        claimed = await tasks.claim()
        assert sorted(states(await read(every, 2))) == [("r-1", RUNNING), ("r-2", RUNNING)]
        await tasks.store.retry(claimed[0], "again", 0)
        assert states(await read(every, 1)) == [("r-1", PENDING)]
        await tasks.store.complete(claimed[1], "{}", "t")
        assert states(await read(every, 1)) == [("r-2", COMPLETED)]
        assert states(await read(of_one, 1))[0][0] == "r-2"
        assert states(await read(ends, 1)) == [("r-2", COMPLETED)]


async def test_a_claim_that_commits_after_what_began_later_is_told(tasks: Tasks) -> None:
    await tasks.make("slow")
    async with (
        served(tasks, watch_poll_seconds=0.1) as api,
        api.watching() as (stream, first),
    ):
        async with tasks.database.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            lease = timedelta(seconds=LEASE)
            claimed = await connection.fetch(statements.CLAIM, 1, "me", lease)
            assert len(claimed) == 1
            await tasks.make("quick")
            (quick,) = await read(stream, 1)
            assert states([quick]) == [("quick", PENDING)]
            before = api.changes.reads

            async def read_again() -> bool:
                return api.changes.reads > before + 3

            await eventually(read_again, SOON)
            await transaction.commit()
        assert states(await read(stream, 1)) == [("slow", RUNNING)]
        async with api.watching(resume_token=quick.resume_token) as (resumed, _):
            assert states(await read(resumed, 1)) == [("slow", RUNNING)]
        async with api.watching(resume_token=first.resume_token) as (resumed, _):
            both = sorted(states(await read(resumed, 2)))
            assert both == [("quick", PENDING), ("slow", RUNNING)]


class Client:
    """Watches with one stream after the other, each from the last token of the one before."""

    def __init__(self, api: Served, made: random.Random) -> None:
        self.api = api
        self.made = made
        self.token = ""
        self.seen: dict[str, Any] = {}
        self.streams = 0
        self.again = 0

    async def run(self) -> None:
        while True:
            stream = self.api.world.watching(resume_token=self.token)
            self.streams += 1
            with contextlib.suppress(TimeoutError, grpc.aio.AioRpcError):
                async with asyncio.timeout(self.made.uniform(0.05, 0.5)):
                    for _ in range(self.made.randint(2, 30)):
                        self.note(await next_of(stream))
            stream.cancel()

    def note(self, response: Any) -> None:
        self.token = response.resume_token
        if response.HasField("task"):
            task = response.task
            before = self.seen.get(task.id)
            self.again += before == task
            if before is not None:
                assert before.update_time.ToNanoseconds() <= task.update_time.ToNanoseconds()
            self.seen[task.id] = task


async def test_who_resumes_misses_nothing_whatever_is_written_meanwhile(tasks: Tasks) -> None:
    made = random.Random(11)
    async with served(tasks, watch_poll_seconds=0.1, watch_page_size=5, watch_kept=5) as api:
        async with api.watching() as (_, first):
            pass
        client = Client(api, made)
        client.token = first.resume_token
        watching = asyncio.create_task(client.run())

        async def writer(name: str) -> None:
            for number in range(25):
                await tasks.make(f"{name}-{number % 5}")
                for one in await tasks.claim(2, owner=name):
                    await tasks.store.complete(one, "{}", "t")

        async def slow_writer() -> None:
            for number in range(12):
                async with tasks.database.connection() as connection, connection.transaction():
                    for place in range(3):
                        await connection.execute(
                            "INSERT INTO tasks (id, resource_id, action, number, input)"
                            " VALUES ($1, $1, 'digest', 1, '{}')",
                            f"s-{number}-{place}",
                        )
                        await asyncio.sleep(made.uniform(0, 0.1))

        await asyncio.gather(writer("a"), writer("b"), slow_writer(), slow_writer_of(tasks, made))
        rows = await tasks.rows("SELECT id, status FROM tasks")
        expected = {row["id"]: row["status"] for row in rows}
        assert len(expected) == 50 + 36 + 12

        async def told() -> bool:
            names = {1: "pending", 2: "running", 3: "completed", 4: "failed"}
            return {one: names[task.status] for one, task in client.seen.items()} == expected

        await eventually(told, 3 * SOON)
        assert client.streams > 3
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def slow_writer_of(tasks: Tasks, made: random.Random) -> None:
    """Transactions that lie over each other, and end in another order than they begin."""

    async def one(number: int) -> None:
        await asyncio.sleep(made.uniform(0, 0.5))
        async with tasks.database.connection() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO tasks (id, resource_id, action, number, input)"
                " VALUES ($1, $1, 'digest', 1, '{}')",
                f"o-{number}",
            )
            await asyncio.sleep(made.uniform(0, 1))

    limit = asyncio.Semaphore(2)

    async def bounded(number: int) -> None:
        async with limit:
            await one(number)

    await asyncio.gather(*(bounded(number) for number in range(12)))


async def test_a_thousand_streams_at_rest_cost_a_look_of_one(tasks: Tasks) -> None:
    count, loop = 1000, asyncio.get_running_loop()
    async with served(tasks, watch_poll_seconds=0.5, watch_pause_seconds=0.5) as api:
        before, began = len(asyncio.all_tasks()), loop.time()
        tracemalloc.start()
        streams = [api.world.watching(resource_id=f"r-{n}") for n in range(count)]
        await asyncio.gather(*(next_of(stream) for stream in streams))
        assert len(api.watch) == count
        snapshot = tracemalloc.take_snapshot()
        tracemalloc.stop()
        ours = snapshot.filter_traces([tracemalloc.Filter(True, "*/services/grpc_service/*")])
        assert sum(one.size for one in ours.statistics("filename")) < count * 10_000
        # The server's and the client's of each stream, and nothing of ours beside them.
        assert len(asyncio.all_tasks()) - before <= 4 * count
        await asyncio.sleep(2)
        # Two looks a second, however many come and wait.
        assert api.changes.reads <= 2 * (loop.time() - began) + 3
        connections = await tasks.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        )
        assert connections <= 12
        (task,) = await tasks.make("r-77")
        assert (await read(streams[77], 1))[0].task.id == task.id
        for stream in streams:
            stream.cancel()
        await left(api)


async def left(api: Served) -> None:
    async def nobody() -> bool:
        return len(api.watch) == 0

    await eventually(nobody, SOON)


async def test_clients_that_vanish_leave_nothing_and_nothing_is_read_any_more(
    tasks: Tasks,
) -> None:
    async with served(tasks, watch_poll_seconds=0.05) as api:
        async with api.watching() as (_, first):
            await tasks.make(*(f"r-{n}" for n in range(30)))
        streams = [api.world.watching(resume_token=first.resume_token) for _ in range(20)]
        await asyncio.gather(*(next_of(stream) for stream in streams[:10]))
        await api.world.channel.close()
        await left(api)

        async def at_rest() -> bool:
            before = api.changes.reads
            await asyncio.sleep(0.5)
            return api.changes.reads == before

        await eventually(at_rest, SOON)
        assert tasks.database._idle() == tasks.database._size()


async def test_a_client_that_reads_slowly_holds_up_nobody_and_catches_up(tasks: Tasks) -> None:
    large = "x" * 60_000
    async with (
        served(tasks, watch_kept=5, watch_page_size=10) as api,
        api.watching() as (slow, _),
        api.watching() as (quick, _),
    ):
        await tasks.make(*(f"r-{n}" for n in range(60)))
        claimed = await tasks.claim(60)
        for one in claimed:
            await tasks.store.complete(one, large, "t")
        ended: set[str] = set()
        while len(ended) < 60:
            (told,) = await read(quick, 1)
            if told.task.status == COMPLETED:
                ended.add(told.task.id)
        kept = [one._kept for some in api.watch._watchers.values() for one in some]
        assert all(one is None or len(one) <= 5 for one in kept)
        ended.clear()
        while len(ended) < 60:
            (told,) = await read(slow, 1)
            if told.task.status == COMPLETED:
                ended.add(told.task.id)
        assert (
            await tasks.value(f"SELECT count(*) FROM tasks WHERE status = '{Status.COMPLETED}'")
            == 60
        )
