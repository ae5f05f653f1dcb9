"""What the tests of whole paths wait for, and where they look."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path as File
from typing import NamedTuple

import httpx

from services.contracts.topics import DEAD_LETTER
from services.shared.runtime.settings import DatabaseSettings, RedisSettings
from tests.harness.collector import Receiver
from tests.harness.issuer import Issuer
from tests.harness.span_trees import Path, drawn
from tests.harness.whole_paths import Caller
from tests.integration.kafka_container import RELAY, TOPICS, WORKER, KafkaServer
from tests.integration.processes import ServiceProcess, environment
from tests.integration.servers import eventually

SECONDS = 90


class Running(NamedTuple):
    """The services of a path. http: a client of the first."""

    http: httpx.AsyncClient
    logs: tuple[File, ...]

    def logged(self, needle: str) -> set[str]:
        return services_that_logged(needle, self.logs)


@asynccontextmanager
async def running(
    services: Sequence[tuple[str, Mapping[str, str]]],
    collector: Receiver,
    issuer: Issuer,
    folder: File,
) -> AsyncIterator[Running]:
    """Packages, each with its variables, and where their spans go."""
    traced = collector.variables()
    started = [
        ServiceProcess(f"services.{package}", {**variables, **traced}, folder / f"{place}.log")
        for place, (package, variables) in enumerate(services)
    ]
    try:
        for process in started:
            await eventually(process.ready)
        base = f"http://127.0.0.1:{started[0].port}"
        async with httpx.AsyncClient(base_url=base, headers=issuer.headers(), timeout=30) as client:
            yield Running(client, tuple(process.log for process in started))
    finally:
        for process in started:
            process.kill()


def path_of_resources(
    restdb: DatabaseSettings,
    datadb: DatabaseSettings,
    workerdb: DatabaseSettings,
    redis: RedisSettings,
    kafka: KafkaServer,
    issuer: Issuer,
) -> list[tuple[str, Mapping[str, str]]]:
    """rest-service, its relay and the worker, for running()."""
    more = {**variables_of("DATA_STORE", datadb), **variables_of("REDIS", redis)}
    relay = environment("outbox-relay-rest", restdb, kafka.settings(RELAY), RELAY_ID="r")
    return [
        ("rest_service", environment("rest-service", restdb) | more | issuer.variables),
        ("outbox_relay", relay),
        ("event_worker", consumer("event-worker", workerdb, kafka, TOPICS)),
    ]


def variables_of(prefix: str, settings: DatabaseSettings | RedisSettings) -> dict[str, str]:
    """What a service is told of a server."""
    told = settings.model_dump(exclude_none=True).items()
    return {f"{prefix}_{name}".upper(): str(value) for name, value in told}


def consumer(
    service: str, database: DatabaseSettings, kafka: KafkaServer, topics: Sequence[str]
) -> dict[str, str]:
    """The variables of a service that consumes, in a group that has read nothing."""
    return environment(
        service,
        database,
        kafka.settings(WORKER),
        KAFKA_GROUP_ID=kafka.new_group(),
        KAFKA_TOPICS=",".join(topics),
        KAFKA_DEAD_LETTER_TOPIC=DEAD_LETTER,
    )


async def whole(path: Path, collector: Receiver, caller: Caller) -> None:
    """Wait until the caller's trace is all of `path`."""
    lacks: list[str] = []

    async def complete() -> bool:
        lacks[:] = path.lacks(collector.seen, caller.trace, caller.span)
        return not lacks

    try:
        await eventually(complete, SECONDS)
    except AssertionError:
        raise AssertionError("\n".join([*lacks, drawn(collector.seen, caller.trace)])) from None


def services_that_logged(needle: str, logs: Iterable[File]) -> set[str]:
    """Who has it in a line."""
    return {
        json.loads(line)["service"]
        for log in logs
        for line in log.read_text().splitlines()
        if needle in line
    }
