"""One trace from a request to the rows that the worker leaves of a task's events."""

from __future__ import annotations

from pathlib import Path as File

from services.contracts.topics import RESOURCE_EVENTS
from services.shared.runtime.settings import DatabaseSettings, RedisSettings
from tests.harness.collector import receiver
from tests.harness.issuer import Issuer
from tests.harness.whole_paths import RELAY_OF_TASKS, TASK, TASKS, Caller
from tests.integration.conftest import MakeDatabase
from tests.integration.kafka_container import RELAY, KafkaServer
from tests.integration.processes import environment
from tests.integration.servers import eventually
from tests.integration.tracing import consumer, path_of_resources, running, variables_of, whole

PATH = "/api/v1/resources"


async def test_a_task_is_one_trace_with_the_request_that_its_event_comes_of(
    restdb: DatabaseSettings,
    make_database: MakeDatabase,
    redis_settings: RedisSettings,
    kafka_server: KafkaServer,
    issuer: Issuer,
    tmp_path: File,
) -> None:
    datadb, workerdb = await make_database("datadb"), await make_database("workerdb")
    grpcdb = await make_database("grpcdb")
    tasks = {
        **consumer(TASKS, grpcdb, kafka_server, RESOURCE_EVENTS),
        **variables_of("REDIS", redis_settings),
        **issuer.variables,
        "GRPC_TLS": "off",
        "GRPC_PORT": "0",
    }
    relay = environment(RELAY_OF_TASKS, grpcdb, kafka_server.settings(RELAY), RELAY_ID="t")
    services = [
        *path_of_resources(restdb, datadb, workerdb, redis_settings, kafka_server, issuer),
        ("grpc_service", tasks),
        ("outbox_relay", relay),
    ]
    with receiver() as collector:
        async with running(services, collector, issuer, tmp_path) as found:
            caller = Caller.new()
            answer = await found.http.post(PATH, json={"name": "told"}, headers=caller.headers)
            assert answer.status_code == 201
            await whole(TASK, collector, caller)

            async def told() -> bool:  # a line may follow its span, which was sent meanwhile
                return found.logged(caller.trace) == set(TASK.services)

            await eventually(told)
