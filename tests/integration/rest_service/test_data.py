"""Documents stored within the request: what a 201 means, and what reads see."""

import asyncio
import json
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.contracts.ids import is_uuid7
from services.rest_service.documents.service import DocumentService
from services.rest_service.documents.store import DocumentStore
from services.shared.postgres.database import DatabaseUnavailableError, connect
from services.shared.runtime.settings import DatabaseSettings
from tests.harness.issuer import Issuer
from tests.integration.authority import PATIENCE
from tests.integration.ports import free_port
from tests.integration.processes import ServiceProcess, environment
from tests.integration.rest_service.conftest import (
    PATH,
    PATIENT,
    LossyDatabase,
    Rest,
    frozen_redis,
)
from tests.integration.servers import RedisServer, eventually

DATA = "/data"


async def stored(rest: Rest) -> dict[str, tuple[int, object]]:
    """Version and document of all, by id."""
    connection = await connect(rest.data_store, "test", connect_timeout=PATIENCE)
    try:
        rows = await connection.fetch("SELECT id, version, document FROM synchronous_documents")
        return {row["id"]: (row["version"], json.loads(row["document"])) for row in rows}
    finally:
        await connection.close()


async def test_what_is_answered_with_201_is_in_the_database_once_with_its_last_value(
    rest: Rest,
) -> None:
    assert await rest.store({"id": "a/ü", "n": [1, 2.5, None]}) == ["a/ü"]
    [made] = await rest.store({"n": 1})
    assert is_uuid7(made)
    assert await rest.store([{"id": "b", "n": 1}, {"id": "a/ü"}, {"id": "b", "n": 2}]) == [
        "b",
        "a/ü",
        "b",
    ]
    assert await stored(rest) == {
        "a/ü": (2, {"id": "a/ü"}),
        made: (1, {"id": made, "n": 1}),
        "b": (1, {"id": "b", "n": 2}),
    }


async def test_a_document_is_read_as_it_was_written_from_the_database_and_from_the_cache(
    rest: Rest,
) -> None:
    documents = [
        {"id": "🌊" * 200, "a": [10**308, -(2**70), 5e-324, -2.5, "\\u0000", "\x01\u2028"]},
        {"id": "a/b?c#d%2F", "": {"": ""}},
    ]
    ids = await rest.store(documents)
    for id, document in zip(ids, documents, strict=True):
        first = await rest.http.get(f"{DATA}/{quote(id, safe='')}")
        again = await rest.http.get(f"{DATA}/{quote(id, safe='')}")
        assert first.json() == document
        assert again.content == first.content
        assert again.headers["content-type"] == "application/json"
    assert rest.metric("cache_requests_total", result="hit") == 2


async def test_who_has_read_a_document_reads_what_replaced_it_at_once(rest: Rest) -> None:
    ids = [f"d{n}" for n in range(500)]
    await rest.store([{"id": id, "n": 0} for id in ids])
    for id in ids[::50]:
        await rest.document(id)
    await rest.store([{"id": id, "n": 1} for id in ids])
    for id in ids[::50]:
        assert await rest.document(id) == {"id": id, "n": 1}


async def test_a_batch_is_one_transaction(rest: Rest) -> None:
    for number in range(3):
        await rest.store([{"batch": number} for _ in range(500)])
    connection = await connect(rest.data_store, "test", connect_timeout=PATIENCE)
    rows = await connection.fetch(
        "SELECT document->>'batch' AS batch, count(DISTINCT xmin::text) AS transactions"
        " FROM synchronous_documents GROUP BY 1 ORDER BY 1"
    )
    await connection.close()
    assert [tuple(row) for row in rows] == [("0", 1), ("1", 1), ("2", 1)]


async def test_batches_with_the_same_ids_at_once_all_succeed(rest: Rest) -> None:
    ids = [f"d{n}" for n in range(100)]

    async def write(number: int) -> None:
        order = ids if number % 2 else ids[::-1]
        for _ in range(5):
            await rest.store([{"id": id, "by": number} for id in order])

    await asyncio.gather(*(write(number) for number in range(8)))
    found = await stored(rest)
    assert {version for version, _ in found.values()} == {40}
    for id in ids[::20]:
        assert await rest.document(id) == found[id][1]


async def test_an_idempotency_key_is_the_id(rest: Rest) -> None:
    for key in ('"8e03978e 40d5"', "8e03978e-40d5"):
        for _ in range(2):
            assert await rest.store({"n": 1}, **{"Idempotency-Key": key}) == [key.strip('"')]
    assert len(await stored(rest)) == 2


async def test_pages_show_every_document_once_newest_first(rest: Rest) -> None:
    for number in range(5):
        await rest.store([{"id": f"{number}{n}", "number": number} for n in range(10)])
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        params = {"limit": 7} | ({"cursor": cursor} if cursor else {})
        page = (await rest.http.get(DATA, params=params)).json()
        seen += [item["number"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 50


async def test_after_a_write_whose_answer_got_lost_nobody_reads_what_was_before_it(
    rest: Rest,
) -> None:
    await rest.store({"id": "a", "n": 1})
    await rest.document("a")
    database = LossyDatabase(
        rest.data_store, CollectorRegistry(), application_name="test", **PATIENT
    )
    await database.open()
    service = DocumentService(DocumentStore(database), rest.cache)
    with pytest.raises(DatabaseUnavailableError):
        await service.write([("a", b'{"id":"a","n":2}')])
    assert await rest.document("a") == {"id": "a", "n": 2}
    await database.close()


@frozen_redis
async def test_without_redis_documents_are_written_and_read(
    rest: Rest, healthy_redis: RedisServer
) -> None:
    await rest.store({"id": "a", "n": 1})
    await rest.document("a")
    healthy_redis.container.pause()
    for number in range(2, 6):
        await rest.store({"id": "a", "n": number})
        assert await rest.document("a") == {"id": "a", "n": number}
    healthy_redis.container.unpause()

    async def available() -> bool:
        return rest.metric("cache_available") == 1

    await eventually(available)
    assert await rest.document("a") == {"id": "a", "n": 5}


async def test_without_the_data_store_documents_are_503_and_resources_go_on(
    restdb: DatabaseSettings,
    redis_server: RedisServer,
    datadb: DatabaseSettings,
    issuer: Issuer,
    tmp_path: Path,
) -> None:
    away = datadb.model_copy(update={"port": free_port()})
    variables = environment("rest-service", restdb) | {
        f"{prefix}_{name.upper()}": str(value)
        for prefix, settings in (("REDIS", redis_server.settings()), ("DATA_STORE", away))
        for name, value in settings.model_dump(exclude_none=True).items()
    }
    process = ServiceProcess(
        "services.rest_service", variables | issuer.variables, tmp_path / "log"
    )
    try:
        await eventually(process.ready)
        base = f"http://127.0.0.1:{process.port}"
        async with httpx.AsyncClient(base_url=base, headers=issuer.headers(), timeout=30) as http:
            for response in (
                await http.post(DATA, json={}),
                await http.get(DATA),
                # Not one that another test may have left in the cache, which answers without it.
                await http.get(f"{DATA}/never-stored"),
            ):
                assert response.status_code == 503, response.text
                assert int(response.headers["retry-after"]) >= 1
                assert response.json()["type"] == "urn:millrace:problem:unavailable"
            assert (await http.post(PATH, json={"name": "a"})).status_code == 201
            assert (await http.get("/ready")).status_code == 200
    finally:
        process.kill()
