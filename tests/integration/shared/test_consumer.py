"""What a new service gets that is nothing but settings, a handler and a statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.contracts.topics import DEAD_LETTER, TASK_PROCESS
from services.shared.postgres.database import connect
from tests.integration.authority import PATIENCE
from tests.integration.event_worker.messages import Sender
from tests.integration.kafka_container import WORKER, KafkaServer, headers_of
from tests.integration.processes import ServiceProcess, environment
from tests.integration.servers import PostgresServer, eventually


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    started: list[ServiceProcess] = []

    def start(variables: dict[str, str]) -> ServiceProcess:
        log = tmp_path / f"{len(started)}.log"
        started.append(ServiceProcess("tests.integration.shared.new_service", variables, log))
        return started[-1]

    yield start
    for process in started:
        process.kill()


async def test_it_handles_every_message_once_buries_the_bad_and_ends_in_order(
    postgres: PostgresServer, kafka_server: KafkaServer, start: Callable[..., ServiceProcess]
) -> None:
    database = await postgres.provision("seen")
    connection = await connect(database, "test", connect_timeout=PATIENCE)
    await connection.execute("CREATE TABLE seen (what text)")
    variables = environment(
        "new-service",
        database,
        kafka_server.settings(WORKER),
        KAFKA_GROUP_ID=kafka_server.new_group(),
        KAFKA_TOPICS=TASK_PROCESS,
        KAFKA_DEAD_LETTER_TOPIC=DEAD_LETTER,
        SEEN_BATCH_SIZE=2,
    )
    dead_letters = kafka_server.reader([DEAD_LETTER])
    sender = Sender(kafka_server)

    async def seen(*whats: str) -> bool:
        return sorted(row["what"] for row in await connection.fetch("SELECT what FROM seen")) == [
            *whats
        ]

    for what in (b"a", b"b", b"bad", b"c"):
        sender.send(TASK_PROCESS, what.decode(), value=what)
    sender.flush()
    first = start(variables)
    await eventually(lambda: seen("a", "b", "c"))
    (letter,) = await dead_letters.wait(1)
    assert headers_of(letter)["dead_letter_reason"] == "is bad"

    async def all_consumed() -> bool:
        return await first.metric("kafka_consumer_messages_consumed_total") == 4

    await eventually(all_consumed)
    assert await first.metric("kafka_consumer_dead_letters_total") == 1
    await eventually(first.ready)
    assert first.terminate() == 0

    second = start(variables)
    sender.send(TASK_PROCESS, "d", value=b"d")
    sender.flush()
    await eventually(lambda: seen("a", "b", "c", "d"))
    assert second.terminate() == 0
    dead_letters.close()
    await connection.close()
