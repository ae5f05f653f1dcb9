"""The API of tasks over a channel: what it makes, finds and waits for in a real database."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from google.protobuf import duration_pb2
from prometheus_client import CollectorRegistry

from services.contracts.ids import new_id
from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from services.shared.postgres.database import Database
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE, eventually
from tests.integration.grpc_service.conftest import Tasks, event
from tests.integration.grpc_service.served import served
from tests.unit.services.shared.grpc_world import SOON

COMPLETED = tasks_pb2.TASK_STATUS_COMPLETED
BLOCKED = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND backend_type = 'client backend'
"""


def asked(resource: str = "r-1", **more: Any) -> tasks_pb2.ProcessTaskRequest:
    request = tasks_pb2.ProcessTaskRequest(resource_id=resource, action="digest", **more)
    request.input.update({"b": 1, "a": None})
    return request


async def test_a_task_is_made_once_found_listed_and_refused_where_it_must_be(tasks: Tasks) -> None:
    async with served(tasks) as api:
        request = asked(request_id=str(uuid.uuid4()))
        metadata = {"x-correlation-id": "mine"}
        answers = [await api.call("ProcessTask", request, metadata=metadata) for _ in range(3)]
        [task_id] = {one.response.task.id for one in answers}
        [row] = await tasks.rows("SELECT input, correlation_id FROM tasks")
        assert tuple(row) == ('{"a":null,"b":1}', "mine")
        assert len(await tasks.events()) == 1

        found = await api.call("GetTaskStatus", tasks_pb2.GetTaskStatusRequest(task_id=task_id))
        assert found.response.task == answers[0].response.task
        absent = tasks_pb2.GetTaskStatusRequest(task_id=new_id())
        assert (await api.call("GetTaskStatus", absent)).reason == "TASK_NOT_FOUND"

        request.action = "terms"
        assert (await api.call("ProcessTask", request)).code == "ALREADY_EXISTS"
        await tasks.inbox.process([event("r-1", "d", 1)])
        assert (await api.call("ProcessTask", asked())).code == "FAILED_PRECONDITION"

        first = await api.call("ListTasks", tasks_pb2.ListTasksRequest(page_size=1))
        token = first.response.next_page_token
        again = tasks_pb2.ListTasksRequest(page_size=1, page_token=token)
        second = (await api.call("ListTasks", again)).response
        assert [task.id for task in second.tasks] == [task_id]
        assert second.next_page_token == ""


async def test_a_call_that_waits_is_told_of_the_end_and_asks_nothing_meanwhile(
    tasks: Tasks,
) -> None:
    async with served(tasks, watch_poll_seconds=300, wait_seconds=50) as api:
        wait = duration_pb2.Duration(seconds=50)
        calls = [
            asyncio.create_task(api.call("ProcessTask", asked(f"r-{n}", wait=wait), timeout=60))
            for n in range(20)
        ]

        async def waited_for() -> bool:
            return len(api.watch) == 20

        async def at_rest() -> bool:
            before = api.changes.reads
            await asyncio.sleep(0.5)
            return api.changes.reads == before

        await eventually(waited_for)
        await eventually(at_rest, SOON)
        for one in await tasks.claim(20):
            await tasks.store.complete(one, f'"{one.task.id}"', "t")
        ended = [(await call).response.task for call in calls]
        assert {task.status for task in ended} == {COMPLETED}
        assert all(task.result == f'"{task.id}"' for task in ended)
        assert len(api.watch) == 0


async def test_at_the_end_of_its_time_a_call_leaves_no_query_behind(
    tasks: Tasks, taskdb: DatabaseSettings
) -> None:
    (made,) = await tasks.make("r-1")
    beside = Database(
        taskdb,
        CollectorRegistry(),
        application_name="beside",
        connect_timeout=PATIENCE,
        server_settings={"idle_in_transaction_session_timeout": "0"},
    )
    await beside.open()
    requests = {
        "GetTaskStatus": tasks_pb2.GetTaskStatusRequest(task_id=made.id),
        "ListTasks": tasks_pb2.ListTasksRequest(),
        "ProcessTask": asked("r-2"),
    }

    async def blocked(count: int) -> bool:
        (row,) = await beside.fetch(BLOCKED)
        return row[0] == count

    @asynccontextmanager
    async def locked() -> AsyncIterator[None]:
        async with beside.connection() as connection, connection.transaction():
            await connection.execute("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
            yield
            await eventually(lambda: blocked(0), SOON)

    async with served(tasks) as api:
        for method, request in requests.items():
            async with locked():
                call = asyncio.create_task(api.call(method, request, timeout=6))
                await eventually(lambda: blocked(1), SOON)
                assert (await call).code == "DEADLINE_EXCEEDED"
        request = requests["GetTaskStatus"].SerializeToString()
        async with locked():
            given_up = api.world.unary("GetTaskStatus")(request)
            await eventually(lambda: blocked(1), SOON)
            given_up.cancel()  # by its client, long before its end
        found = await api.call("GetTaskStatus", requests["GetTaskStatus"])
        assert found.response.task.id == made.id
        assert await tasks.value("SELECT count(*) FROM tasks") == 1
    await beside.close()
