"""Reads see what was acknowledged, wherever it is by then; docs/decisions/0026."""

import asyncio
import random
from typing import Any

import pytest
from redis.asyncio import Redis

from services.ingest_service.store import Store
from services.shared.runtime.settings import DatabaseSettings
from services.shared.stream import names
from services.shared.stream.settle import Settling
from services.stream_writer import dead
from tests.integration.ingest_service.conftest import (
    CACHE,
    PATH,
    Ingest,
    MakeIngest,
    as_in_the_cluster,
)
from tests.integration.ingest_service.stream_server import IngestRedis
from tests.integration.ingest_service.writing import entries, settle, store, write
from tests.integration.servers import PostgresServer, eventually


async def test_a_document_is_read_from_the_stream_the_database_and_the_caches_in_turn(
    make_ingest: MakeIngest, stream: Redis, cache: Redis, datadb: DatabaseSettings
) -> None:
    ingest, other = await make_ingest(cache_ttl_seconds=777), await make_ingest()
    document = {"id": "a", "n": 1}
    assert await ingest.get("a") is None
    await ingest.accept(document)
    assert await ingest.get("a") == document
    await store(datadb, await entries(stream))
    assert await ingest.get("a") == document
    await settle(stream, await entries(stream))
    assert ingest.reads() == {"none": 1, "pending": 2}
    for _ in range(3):
        assert await ingest.get("a") == document
        assert await other.get("a") == document
    assert ingest.reads() == {"none": 1, "pending": 2, "database": 1, "local": 2}
    assert other.reads() == {"shared": 1, "local": 2}
    assert 700 < await cache.ttl("document:a") <= 777


async def test_no_cache_hides_a_newer_document_from_anybody(
    make_ingest: MakeIngest, stream: Redis, datadb: DatabaseSettings
) -> None:
    pods = [await make_ingest(), await make_ingest()]
    for number in range(5):
        document = {"id": "a", "n": number}
        await pods[number % 2].accept(document)
        assert [await pod.get("a") for pod in pods] == [document] * 2
        await write(stream, datadb)
        for _ in range(2):
            assert [await pod.get("a") for pod in pods] == [document] * 2


class SlowStore(Store):
    """Answers with what it has read only when it is let go."""

    def __init__(self, store: Store) -> None:
        super().__init__(store._database)
        self.has_read = asyncio.Event()
        self.go_on = asyncio.Event()
        self.reads = 0

    async def get(self, document_id: str) -> bytes | None:
        self.reads += 1
        found = await super().get(document_id)
        self.has_read.set()
        await self.go_on.wait()
        return found


def slowed(ingest: Ingest) -> SlowStore:
    reader = ingest.app.state.ingest._reader
    reader._store = SlowStore(reader._store)
    return reader._store


async def test_what_a_slow_reader_keeps_late_hides_nothing(
    make_ingest: MakeIngest, stream: Redis, datadb: DatabaseSettings
) -> None:
    """It has read the old one when a new one is accepted, stored and settled; then it keeps."""
    slow, fast = await make_ingest(), await make_ingest()
    await slow.accept({"id": "a", "n": 1})
    await write(stream, datadb)
    database = slowed(slow)
    late = asyncio.create_task(slow.get("a"))
    await database.has_read.wait()
    await fast.accept({"id": "a", "n": 2})
    await write(stream, datadb)
    assert await fast.get("a") == {"id": "a", "n": 2}
    follower = asyncio.create_task(slow.get("a"))  # has to see the new one: it came after it
    database.go_on.set()
    assert (await late)["n"] == 1  # asked before
    assert (await follower)["n"] == 2
    for pod in (slow, fast, await make_ingest()):
        assert (await pod.get("a"))["n"] == 2


async def test_a_document_is_loaded_once_for_all_who_ask_at_once_and_one_may_leave(
    make_ingest: MakeIngest, stream: Redis, datadb: DatabaseSettings
) -> None:
    ingest = await make_ingest()
    await ingest.accept({"id": "a"})
    await write(stream, datadb)
    database = slowed(ingest)
    readers = [asyncio.create_task(ingest.get("a")) for _ in range(50)]
    await database.has_read.wait()
    readers[0].cancel()
    await asyncio.sleep(0)
    database.go_on.set()
    assert await asyncio.gather(*readers[1:]) == [{"id": "a"}] * 49
    assert database.reads == 1


async def test_what_is_stored_is_read_from_the_stream_a_little_longer_and_never_once_it_is_old(
    ingest: Ingest, stream: Redis, datadb: DatabaseSettings
) -> None:
    await ingest.accept({"id": "a", "n": 1})
    first = await entries(stream)
    await store(datadb, first)
    await settle(stream, first, copies_stay=30)
    assert await stream.xlen(names.STREAM) == 0
    assert await ingest.get("a") == {"id": "a", "n": 1}
    assert ingest.reads() == {"pending": 1}
    await ingest.accept({"id": "a", "n": 2})
    assert await stream.ttl(names.pending("a")) == -1, "what is not stored must not go by itself"
    await settle(stream, first, copies_stay=0.01)  # a second time, by who came back late
    assert await stream.ttl(names.pending("a")) == -1
    assert await ingest.get("a") == {"id": "a", "n": 2}
    second = await entries(stream)
    await store(datadb, second)
    await settle(stream, second, copies_stay=0.01)

    async def gone() -> bool:
        return await stream.exists(names.pending("a")) == 0

    await eventually(gone)
    assert await ingest.get("a") == {"id": "a", "n": 2}
    assert ingest.reads()["database"] == 1


async def test_a_large_pending_document_that_many_read_disturbs_nobody(
    ingest: Ingest, stream: Redis
) -> None:
    large = {"id": "large", "text": "x" * 900_000}
    await ingest.accept(large)
    others = [{"id": f"large-{n}", "text": "y" * 900_000} for n in range(12)]
    for other in others:
        await ingest.accept(other)
    await ingest.accept({"id": "small"})
    ids = ["large", "small"] * 60 + [str(other["id"]) for other in others]
    read = await asyncio.gather(*(ingest.get(name) for name in ids))
    assert read == [large, {"id": "small"}] * 60 + others
    assert (await stream.info("stats")).get("evicted_clients", 0) == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_any_order_of_events_shows_what_was_acknowledged_last(
    make_ingest: MakeIngest, stream: Redis, cache: Redis, datadb: DatabaseSettings, seed: int
) -> None:
    """Two pods, a writer that stores in parts and settles later, a cache that forgets."""
    source = random.Random(seed)
    pods = [await make_ingest(), await make_ingest()]
    newest: dict[str, int] = {}
    stored: list[Any] = []
    for number in range(400):
        name = source.choice("abcde")
        pod = source.choice(pods)
        match source.choice(["accept", "read", "read", "read", "store", "settle", "forget"]):
            case "accept":
                await pod.accept({"id": name, "n": number})
                newest[name] = number
            case "read":
                found = await pod.get(name)
                assert (found and found["n"]) == newest.get(name)
            case "store":
                some = await entries(stream)
                stored = source.sample(some, source.randint(0, len(some)))
                await store(datadb, stored)
            case "settle":
                some = source.sample(stored, source.randint(0, len(stored)))
                await settle(stream, some, copies_stay=source.choice([0, 0, 0.01, 0.1]))
            case _:
                await cache.delete(f"document:{name}")
    assert sum(pod.reads().get("local", 0) for pod in pods) > 10
    assert sum(pod.reads().get("shared", 0) for pod in pods) > 3


async def test_without_the_cache_reads_go_on_and_it_is_used_again_when_it_is_back(
    make_ingest: MakeIngest,
    stream: Redis,
    datadb: DatabaseSettings,
    cache_server: IngestRedis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    as_in_the_cluster(monkeypatch, *CACHE)
    ingest = await make_ingest()
    ids = await ingest.accept([{"n": n} for n in range(100)])
    await write(stream, datadb)
    cache_server.container.pause()
    try:
        async with asyncio.timeout(60):  # if each of them waited for the cache it would be minutes
            assert [(await ingest.get(id))["n"] for id in ids] == list(range(100))
    finally:
        cache_server.container.unpause()
    await cache_server.wait()
    assert ingest.reads()["database"] == 100

    async def shared() -> bool:
        # One that the process does not have itself yet.
        [new] = await ingest.accept({})
        await write(stream, datadb)
        await ingest.get(new)
        client = cache_server.tester()
        kept = await client.keys("document:*")
        await client.aclose()
        return len(kept) >= 1

    await eventually(shared)


async def test_without_the_stream_nothing_is_read_that_may_be_old(
    ingest: Ingest, stream: Redis, datadb: DatabaseSettings, stream_server: IngestRedis
) -> None:
    await ingest.accept({"id": "a"})
    await write(stream, datadb)
    assert await ingest.get("a") == {"id": "a"}
    stream_server.container.kill()
    response = await ingest.http.get(f"{PATH}/a")
    assert (response.status_code, int(response.headers["retry-after"]) >= 1) == (503, True)
    assert (await ingest.http.get(PATH)).json() == {"items": [{"id": "a"}], "next_cursor": None}
    stream_server.container.start()

    async def readable() -> bool:
        return (await ingest.http.get(f"{PATH}/a")).status_code == 200

    await eventually(readable)


async def test_without_the_database_what_is_pending_is_accepted_and_read(
    ingest: Ingest, healthy_postgres: PostgresServer
) -> None:
    healthy_postgres.container.stop()
    await ingest.accept({"id": "a"})
    assert await ingest.get("a") == {"id": "a"}
    for path in (f"{PATH}/b", PATH):
        response = await ingest.http.get(path)
        assert (response.status_code, int(response.headers["retry-after"]) >= 1) == (503, True)
    assert (await ingest.http.get("/ready")).status_code == 200


async def test_without_the_database_what_was_kept_behind_its_fence_is_read(
    make_ingest: MakeIngest,
    stream: Redis,
    datadb: DatabaseSettings,
    healthy_postgres: PostgresServer,
) -> None:
    pods = [await make_ingest(), await make_ingest()]
    await pods[0].accept({"id": "a"})
    await write(stream, datadb)
    assert await pods[0].get("a") == {"id": "a"}
    page = (await pods[0].http.get(PATH)).json()
    healthy_postgres.container.stop()
    for pod in pods:
        assert await pod.get("a") == {"id": "a"}
    assert (pods[0].reads()["local"], pods[1].reads()["shared"]) == (1, 1)
    await asyncio.sleep(1.1)  # older than it may be while there is a database
    assert (
        (await pods[0].http.get(PATH)).json()
        == page
        == {"items": [{"id": "a"}], "next_cursor": None}
    )


async def test_pages_list_what_is_stored_the_newest_first_and_a_change_moves_nothing(
    ingest: Ingest, stream: Redis, datadb: DatabaseSettings
) -> None:
    assert (await ingest.http.get(PATH)).json() == {"items": [], "next_cursor": None}
    await ingest.accept([{"id": f"{n}", "text": '"}],\\'} for n in range(25)])
    await ingest.accept({"id": "3", "again": True})
    for entry in await entries(stream):
        await store(datadb, [entry])  # a moment of its own for each
    await ingest.accept({"id": "not stored yet"})
    seen: list[str] = []
    pages = 0
    query: dict[str, Any] = {"limit": 10}
    while query:
        page = (await ingest.http.get(PATH, params=query)).json()
        seen += [item["id"] for item in page["items"]]
        pages += 1
        query = {"limit": 10, "cursor": page["next_cursor"]} if page["next_cursor"] else {}
    assert seen == [str(n) for n in reversed(range(25))]
    assert pages == 3
    exact = (await ingest.http.get(PATH, params={"limit": 25})).json()
    assert exact["next_cursor"] is None
    assert exact["items"][-4] == {"id": "3", "again": True}


async def test_a_dead_letter_that_is_replayed_is_seen_by_all_once_it_is_settled(
    make_ingest: MakeIngest, stream: Redis, datadb: DatabaseSettings
) -> None:
    pods = [await make_ingest(), await make_ingest()]
    await pods[0].accept({"id": "a", "n": 1})
    await write(stream, datadb)
    await pods[0].accept({"id": "a", "n": 2})
    [(entry, _)] = await entries(stream)
    letter = await Settling(stream).bury(entry, "for the test", 1)
    assert letter is not None
    for _ in range(2):
        assert [(await pod.get("a"))["n"] for pod in pods] == [1, 1]
    await dead.replay(stream, letter)
    assert [(await pod.get("a"))["n"] for pod in pods] == [1, 1]
    await write(stream, datadb)
    for _ in range(2):
        assert [(await pod.get("a"))["n"] for pod in pods] == [2, 2]
    assert pods[1].reads().get("local", 0) >= 2


async def test_an_entry_whose_successor_is_dead_is_seen_by_all_once_it_is_settled(
    ingest: Ingest, stream: Redis, datadb: DatabaseSettings
) -> None:
    await ingest.accept({"id": "a", "n": 1})
    await write(stream, datadb)
    await ingest.accept([{"id": "a", "n": 2}, {"id": "a", "n": 3}])
    await Settling(stream).bury((await entries(stream))[1][0], "for the test", 1)
    for _ in range(2):
        assert (await ingest.get("a"))["n"] == 1
    await write(stream, datadb)
    for _ in range(2):
        assert (await ingest.get("a"))["n"] == 2
