"""One trace from a request to the row that the worker leaves, over all processes in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path as File

import pytest

from services.shared.runtime.settings import DatabaseSettings, RedisSettings
from tests.harness.collector import Receiver, receiver
from tests.harness.issuer import Issuer
from tests.harness.traces import CALLER, TRACE
from tests.harness.whole_paths import RESOURCE, Caller
from tests.integration.conftest import MakeDatabase
from tests.integration.kafka_container import KafkaServer
from tests.integration.servers import eventually
from tests.integration.tracing import Running, path_of_resources, running, whole

PATH = "/api/v1/resources"


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
async def rest(
    restdb: DatabaseSettings,
    make_database: MakeDatabase,
    redis_settings: RedisSettings,
    kafka_server: KafkaServer,
    issuer: Issuer,
    collector: Receiver,
    tmp_path: File,
) -> AsyncIterator[Running]:
    """rest-service, a relay and a worker."""
    datadb, workerdb = await make_database("datadb"), await make_database("workerdb")
    services = path_of_resources(restdb, datadb, workerdb, redis_settings, kafka_server, issuer)
    async with running(services, collector, issuer, tmp_path) as found:
        yield found


async def test_a_resource_is_one_trace_from_the_request_to_the_workers_row(
    rest: Running, collector: Receiver
) -> None:
    caller = Caller.new()
    answer = await rest.http.post(PATH, json={"name": "traced"}, headers=caller.headers)
    assert answer.status_code == 201
    await whole(RESOURCE, collector, caller)

    async def told() -> bool:  # a line may follow its span, which was sent meanwhile
        return rest.logged(caller.trace) == set(RESOURCE.services)

    await eventually(told)
    assert rest.logged(caller.correlation_id) == {"rest-service"}


async def test_a_request_that_nobody_records_leaves_no_span(
    rest: Running, collector: Receiver
) -> None:
    before = len(collector.spans)
    for flags in ("00", None):
        headers = {"traceparent": f"{CALLER[:-2]}{flags}"} if flags else {}
        answer = await rest.http.post(PATH, json={"name": "untraced"}, headers=headers)
        assert answer.status_code == 201
    answer = await rest.http.post(PATH, json={"name": "traced"}, headers={"traceparent": CALLER})
    assert answer.status_code == 201

    async def complete() -> bool:
        return any(one.title == "event-worker: COMMIT" for one in collector.spans)

    await eventually(complete, 60)
    assert {one.span.trace_id.hex() for one in collector.spans[before:]} == {TRACE}


async def test_without_the_collector_everything_else_goes_on(
    rest: Running, collector: Receiver
) -> None:
    collector.status = 503
    for n in range(20):
        answer = await rest.http.post(PATH, json={"name": f"{n}"}, headers={"traceparent": CALLER})
        assert answer.status_code == 201

    async def counted() -> bool:
        text = (await rest.http.get("/metrics")).text
        line = next(x for x in text.splitlines() if 'tracing_spans_total{outcome="refused"}' in x)
        return float(line.rsplit(" ", 1)[1]) >= 40

    await eventually(counted, 60)
