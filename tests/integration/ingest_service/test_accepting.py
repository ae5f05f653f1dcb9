"""What a 202 means, and who shares a call of the script."""

import asyncio
import json
import time
from typing import Any

import httpx
from redis.asyncio import Redis

from services.contracts.ids import is_uuid7
from services.shared.runtime.settings import DatabaseSettings
from services.shared.stream import names
from tests.integration.ingest_service.conftest import PATH, Ingest, MakeIngest, MakeProcess
from tests.integration.ingest_service.writing import entries
from tests.integration.processes import ServiceProcess
from tests.integration.servers import eventually

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_an_accepted_document_is_an_entry_with_all_that_the_writer_needs(
    ingest: Ingest, stream: Redis
) -> None:
    headers = {"X-Correlation-ID": "mine", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    assert await ingest.accept({"id": "a/ü", "n": [1, 2.5, None]}, **headers) == ["a/ü"]
    [(entry, fields)] = await entries(stream)
    document = b'{"id":"a/\xc3\xbc","n":[1,2.5,null]}'
    assert {k: v for k, v in fields.items() if k != b"tp"} == {
        b"id": "a/ü".encode(),
        b"doc": document,
        b"cid": b"mine",
    }
    assert fields[b"tp"].startswith(f"00-{TRACE}-".encode())
    assert await stream.hgetall(names.pending("a/ü")) == {b"e": entry.encode(), b"d": document}
    assert await stream.hgetall(names.FENCES) == {str(names.fence("a/ü")).encode(): entry.encode()}
    assert await ingest.get("a/ü") == {"id": "a/ü", "n": [1, 2.5, None]}


async def test_a_batch_is_answered_in_its_order_and_of_one_id_the_later_wins(
    ingest: Ingest, stream: Redis
) -> None:
    ids = await ingest.accept([{"id": "a", "n": 1}, {"n": 2}, {"id": "a", "n": 3}])
    assert [ids[0], ids[2]] == ["a", "a"]
    assert is_uuid7(ids[1])
    accepted = await entries(stream)
    assert [json.loads(fields[b"doc"])["n"] for _, fields in accepted] == [1, 2, 3]
    assert await ingest.get("a") == {"id": "a", "n": 3}
    assert await ingest.get(ids[1]) == {"id": ids[1], "n": 2}
    assert await stream.hget(names.pending("a"), "e") == accepted[2][0].encode()


async def test_an_idempotency_key_is_the_id(ingest: Ingest, stream: Redis) -> None:
    for key in ('"8e03978e 40d5"', "8e03978e-40d5"):
        for _ in range(2):
            assert await ingest.accept({"n": 1}, **{"Idempotency-Key": key}) == [key.strip('"')]
    assert len(await stream.keys(names.PENDING + "*")) == 2


async def test_requests_at_once_share_calls_of_the_script(ingest: Ingest, stream: Redis) -> None:
    await ingest.accept({"warm": "up"})
    await stream.config_resetstat()
    accepted = await asyncio.gather(
        *(ingest.accept([{"id": f"{n}", "n": n}, {}]) for n in range(300))
    )
    calls = (await stream.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert calls <= 300 / 10
    assert ingest.metric("ingest_batch_requests_count") == calls + 1
    assert ingest.metric("ingest_documents_accepted_total") == 601
    assert [ids[0] for ids in accepted] == [str(n) for n in range(300)]
    assert len(await entries(stream)) == 601
    assert [(await ingest.get(str(n)))["n"] for n in range(300)] == list(range(300))


async def test_what_one_process_accepted_another_reads_at_once(make_process: MakeProcess) -> None:
    processes = [await make_process(), await make_process()]
    async with httpx.AsyncClient(headers=processes[0].headers, timeout=30) as http:

        async def write_and_read(number: int) -> None:
            writer, reader = (f"http://127.0.0.1:{p.port}{PATH}" for p in processes)
            if number % 2:
                writer, reader = reader, writer
            for version in range(5):
                document = {"id": f"{number}", "version": version}
                answer = await http.post(writer, json=document)
                assert answer.status_code == 202, answer.text
                assert (await http.get(f"{reader}/{number}")).json() == document

        await asyncio.gather(*(write_and_read(number) for number in range(40)))
    assert [await asyncio.to_thread(p.terminate) for p in processes] == [0, 0]


async def test_what_is_accepted_comes_into_the_database_and_is_never_out_of_sight(
    make_process: MakeProcess, stream: Redis, datadb: DatabaseSettings
) -> None:
    """With the real writer, while documents are replaced again and again."""
    pods = [await make_process(), await make_process()]
    await make_process("stream_writer", WRITER_ID="writer")
    urls = [f"http://127.0.0.1:{pod.port}{PATH}" for pod in pods]
    async with httpx.AsyncClient(headers=pods[0].headers, timeout=30) as http:

        async def replace(name: str) -> None:
            for version in range(30):
                document = {"id": name, "version": version}
                answer = await http.post(urls[version % 2], json=document)
                assert answer.status_code == 202, answer.text
                await all_read(document, http, urls * 4)

        await asyncio.gather(*(replace(f"{number}") for number in range(10)))

        async def stored() -> bool:
            listed = (await http.get(urls[0])).json()["items"]
            return sorted(listed, key=lambda one: int(one["id"])) == [
                {"id": f"{number}", "version": 29} for number in range(10)
            ]

        async def settled() -> bool:
            return await stream.xlen(names.STREAM) == 0

        await eventually(stored)
        await eventually(settled)
        # Nothing is pending now, so each layer has its turn, however slow the writer was until now.
        for number in range(10):
            await all_read({"id": f"{number}", "version": 29}, http, urls * 2)
        while not await read_from(pods, "shared"):
            # It was slow just then, and a pod leaves it alone for a second.
            document = {"id": f"{time.monotonic()}"}
            await http.post(urls[0], json=document)
            await eventually(settled)
            await all_read(document, http, urls)
    assert await stream.keys(names.PENDING + "*") == []
    for layer in ("pending", "local", "shared", "database"):
        assert await read_from(pods, layer) > 0, layer


async def all_read(document: dict[str, Any], http: httpx.AsyncClient, urls: list[str]) -> None:
    for url in urls:
        assert (await http.get(f"{url}/{document['id']}")).json() == document


async def read_from(pods: list[ServiceProcess], layer: str) -> float:
    name = f'ingest_reads_total{{source="{layer}"}}'
    return sum([await pod.metric(name) for pod in pods])


async def test_a_request_that_is_cancelled_disturbs_no_other(ingest: Ingest, stream: Redis) -> None:
    tasks = [asyncio.create_task(ingest.accept({"id": f"{n}"})) for n in range(60)]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    for number, answer in enumerate(answers):
        if number % 3:
            assert answer == [str(number)]
    accepted = {fields[b"id"].decode() for _, fields in await entries(stream)}
    assert accepted >= {str(number) for number in range(60) if number % 3}


async def test_the_gate_closes_at_the_high_mark_and_opens_below_the_low_one(
    make_ingest: MakeIngest, stream: Redis
) -> None:
    ingest = await make_ingest(low_water=3, high_water=6, max_queue=100)

    async def status(entries_there: int) -> int:
        """That of a POST, once the gate has seen so many entries; they stay as many."""
        while (length := await stream.xlen(names.STREAM)) != entries_there:
            if length < entries_there:
                await stream.xadd(names.STREAM, {"id": "x", "doc": "{}"})
            else:
                await stream.xtrim(names.STREAM, maxlen=entries_there, approximate=False)
        while ingest.metric("ingest_stream_entries") != entries_there:
            await asyncio.sleep(0.01)
        response = await ingest.http.post(PATH, json={"id": "probe"})
        if response.status_code == 503:
            assert response.json()["type"] == "urn:millrace:problem:full"
            assert int(response.headers["retry-after"]) >= 1
        return response.status_code

    assert [await status(n) for n in (5, 6, 3, 2, 5, 7, 2)] == [202, 503, 503, 202, 202, 503, 202]
    assert ingest.metric("ingest_requests_refused_total", reason="queue") == 3


async def test_the_fuse_refuses_a_whole_batch_and_says_so(
    make_ingest: MakeIngest, stream: Redis
) -> None:
    ingest = await make_ingest(low_water=3, high_water=6, max_queue=7)
    await ingest.accept([{}, {}])
    response = await ingest.http.post(PATH, json=[{"id": f"{n}"} for n in range(6)])
    assert (response.status_code, response.json()["type"]) == (503, "urn:millrace:problem:full")
    assert int(response.headers["retry-after"]) >= 1
    assert ingest.metric("ingest_requests_refused_total", reason="fuse") == 1
    assert await stream.xlen(names.STREAM) == 2
    assert await ingest.get("0") is None
    assert len(await ingest.accept([{"id": f"{n}"} for n in range(5)])) == 5
