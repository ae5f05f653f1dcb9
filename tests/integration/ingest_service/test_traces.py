"""One trace from a request to the store, by way of the stream."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from redis.asyncio import Redis

from services.shared.stream import names
from tests.harness.collector import Receiver, receiver
from tests.harness.whole_paths import DOCUMENT, Caller
from tests.integration.ingest_service.conftest import PATH, MakeProcess
from tests.integration.servers import eventually
from tests.integration.tracing import services_that_logged, whole


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


async def test_a_document_is_one_trace_from_the_request_to_the_database(
    make_process: MakeProcess, stream: Redis, collector: Receiver
) -> None:
    caller = Caller.new()
    ingest = await make_process(**collector.variables(SERVICE_NAME="ingest-service"))
    named = collector.variables(SERVICE_NAME="stream-writer")
    writer = await make_process("stream_writer", WRITER_ID="w", **named)
    url = f"http://127.0.0.1:{ingest.port}{PATH}"

    async def settled() -> bool:
        return await stream.xlen(names.STREAM) == 0

    async with httpx.AsyncClient(headers=ingest.headers, timeout=30) as http:
        # The first of all brings the scripts to the server.
        assert (await http.post(url, json={"n": 0})).status_code == 202
        await eventually(settled)
        answer = await http.post(url, json={"n": 1}, headers=caller.headers)
    assert answer.status_code == 202

    await whole(DOCUMENT, collector, caller)
    logs = [process.log for process in (ingest, writer)]
    assert services_that_logged(caller.trace, logs) == set(DOCUMENT.services)


async def test_documents_that_share_a_batch_are_linked(
    make_process: MakeProcess, collector: Receiver
) -> None:
    ingest = await make_process(**collector.variables())
    url = f"http://127.0.0.1:{ingest.port}{PATH}"
    async with httpx.AsyncClient(headers=ingest.headers, timeout=30) as http:
        for n in range(1, 4):
            traceparent = f"00-{n:032x}-{n:016x}-01"
            answer = await http.post(url, json={"n": n}, headers={"traceparent": traceparent})
            assert answer.status_code == 202
    await make_process("stream_writer", WRITER_ID="w", **collector.variables(WRITER_WORKERS=1))

    async def complete() -> bool:
        return collector.names.count("process data:stream") == 3

    await eventually(complete, 60)
    processed = [one.span for one in collector.spans if one.name == "process data:stream"]
    [stored] = [one.span for one in collector.spans if one.name == "INSERT documents"]
    others = {one.span_id for one in processed} - {stored.parent_span_id}
    assert len(others) == 2
    assert {link.span_id for link in stored.links} == others
