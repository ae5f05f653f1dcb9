"""PostgreSQL or Redis away, slow or back again; and the end of the service itself."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.rest_service import cache
from services.rest_service.cache import Entry
from services.rest_service.models import ResourceInput
from services.rest_service.repository import ResourceRepository
from services.rest_service.service import ResourceService
from services.shared.outbox.events import Origin, Outbox
from services.shared.postgres.database import Database, DatabaseUnavailableError, connect
from services.shared.redis import client as redis_client
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE
from tests.integration.rest_service.conftest import (
    PATH,
    PATIENT,
    LossyDatabase,
    Process,
    Rest,
    frozen_redis,
    waiting,
)
from tests.integration.servers import Authority, PostgresServer, RedisServer, eventually


def assert_unavailable(response: httpx.Response) -> None:
    assert response.status_code == 503, response.text
    assert int(response.headers["retry-after"]) >= 1
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "urn:millrace:problem:unavailable"


async def test_without_postgres_writes_are_503_and_all_recovers_by_itself(
    rest: Rest, healthy_postgres: PostgresServer
) -> None:
    cached, uncached = await rest.create(name="cached"), await rest.create(name="uncached")
    still_path = f"{PATH}/{cached['id']}"
    await rest.http.get(still_path)
    assert (await rest.http.get("/ready")).status_code == 200

    healthy_postgres.container.stop()
    body = {"name": "x"}
    path = f"{PATH}/{uncached['id']}"
    assert_unavailable(await rest.http.post(PATH, json=body))
    assert_unavailable(await rest.http.put(path, json=body))
    assert_unavailable(await rest.http.delete(path))
    assert_unavailable(await rest.http.get(PATH))
    assert_unavailable(await rest.http.get(path))
    assert (await rest.http.get(still_path)).json() == cached

    async def ready(status: int) -> bool:
        return (await rest.http.get("/ready")).status_code == status

    await eventually(lambda: ready(503))
    assert (await rest.http.get("/health")).status_code == 200

    healthy_postgres.container.start()
    await eventually(lambda: ready(200))
    assert (await rest.http.put(path, json=body)).json()["version"] == 2
    assert len(await rest.rows("SELECT 1 FROM resources")) == 2


async def test_a_write_cut_off_by_the_server_is_503_and_leaves_nothing(
    rest: Rest, postgres: PostgresServer
) -> None:
    """The statement waits for a row lock when its connection is terminated."""
    resource_id = (await rest.create(name="before"))["id"]
    blocker = await connect(rest.database, "test", connect_timeout=PATIENCE)
    transaction = blocker.transaction()
    await transaction.start()
    await blocker.execute("SELECT 1 FROM resources WHERE id = $1 FOR UPDATE", resource_id)
    write = asyncio.create_task(rest.http.put(f"{PATH}/{resource_id}", json={"name": "after"}))
    await eventually(lambda: waiting(postgres, rest.database))
    await postgres.as_admin(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE application_name = 'rest-service' AND datname = '{rest.database.name}'"
    )
    assert_unavailable(await write)
    await transaction.rollback()
    await blocker.close()
    assert len(await rest.events(resource_id)) == 1
    assert (await rest.http.get(f"{PATH}/{resource_id}")).json()["name"] == "before"


async def test_after_a_write_whose_answer_got_lost_nobody_reads_what_was_before_it(
    rest: Rest,
) -> None:
    created = await rest.create(name="before")
    path = f"{PATH}/{created['id']}"
    await rest.http.get(path)
    database = LossyDatabase(rest.database, CollectorRegistry(), application_name="test", **PATIENT)
    await database.open()
    outbox = Outbox(database)
    service = ResourceService(ResourceRepository(database, outbox), rest.cache)
    origin = Origin("correlation", "traceparent")
    with pytest.raises(DatabaseUnavailableError):
        await service.update(created["id"], ResourceInput(name="after"), origin, None)
    assert (await rest.http.get(path)).json()["name"] == "after"
    with pytest.raises(DatabaseUnavailableError):
        await service.delete(created["id"], origin, None)
    assert (await rest.http.get(path)).status_code == 404
    await outbox.close()
    await database.close()


def cache_errors(rest: Rest) -> float:
    return sum(
        rest.metric("cache_errors_total", operation=operation)
        for operation in ("get", "put", "invalidate")
    )


async def test_without_redis_reads_come_from_postgres_and_only_the_first_notice(
    rest: Rest, healthy_redis: RedisServer
) -> None:
    created = await rest.create()
    path = f"{PATH}/{created['id']}"
    await rest.http.get(path)
    healthy_redis.container.stop()
    for _ in range(50):
        assert (await rest.http.get(path)).json() == created
    assert cache_errors(rest) == 3
    assert rest.metric("cache_requests_total", result="bypass") == 50
    assert rest.metric("cache_available") == 0
    updated = (await rest.http.put(path, json={"name": "new"})).json()
    assert (await rest.http.get(path)).json() == updated
    assert (await rest.http.get("/ready")).status_code == 200

    healthy_redis.container.start()

    async def hits() -> bool:
        assert (await rest.http.get(path)).json() == updated
        return rest.metric("cache_requests_total", result="hit") >= 1

    await eventually(hits)
    assert rest.metric("cache_available") == 1


@frozen_redis
async def test_writes_that_redis_missed_are_made_up_for_before_it_is_used_again(
    rest: Rest, healthy_redis: RedisServer
) -> None:
    """A frozen Redis keeps its old entries, unlike one that was stopped."""
    resources = [await rest.create() for _ in range(5)]
    paths = [f"{PATH}/{resource['id']}" for resource in resources]
    for path in paths:
        await rest.http.get(path)
    healthy_redis.container.pause()
    updated = [(await rest.http.put(path, json={"name": "new"})).json() for path in paths[:4]]
    assert (await rest.http.delete(paths[4])).status_code == 204
    healthy_redis.container.unpause()

    async def available() -> bool:
        return rest.metric("cache_available") == 1

    await eventually(available)
    assert [(await rest.http.get(path)).json() for path in paths[:4]] == updated
    assert (await rest.http.get(paths[4])).status_code == 404


@frozen_redis
async def test_a_frozen_redis_delays_nobody_after_the_first(
    rest: Rest, healthy_redis: RedisServer
) -> None:
    created = await rest.create()
    path = f"{PATH}/{created['id']}"
    healthy_redis.container.pause()
    for _ in range(20):
        assert (await rest.http.get(path)).json() == created
    # Each time-out is an error: the first two requests waited, eighteen did not.
    assert cache_errors(rest) == 3


@frozen_redis
async def test_one_answer_too_late_leaves_the_cache_in_use(
    rest: Rest, healthy_redis: RedisServer
) -> None:
    read, written = await rest.create(), await rest.create()
    for resource in (read, written):
        await rest.http.get(f"{PATH}/{resource['id']}")
    healthy_redis.container.pause()
    assert await rest.cache.get(f"resource:{read['id']}") is None
    updated = (await rest.http.put(f"{PATH}/{written['id']}", json={"name": "new"})).json()
    healthy_redis.container.unpause()
    assert rest.metric("cache_available") == 1
    assert (await rest.http.get(f"{PATH}/{written['id']}")).json() == updated
    assert (await rest.http.get(f"{PATH}/{read['id']}")).json() == read
    assert rest.metric("cache_requests_total", result="hit") == 1


@frozen_redis
async def test_the_cache_comes_back_under_writes_even_when_more_were_missed_than_it_remembers(
    rest: Rest, healthy_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_MISSED_LIMIT", 5)
    monkeypatch.setattr(cache, "TTL_SECONDS", 2)
    healthy_redis.container.pause()
    ping, surprises = rest.cache._redis.ping, [KeyError("no probe may end by this")]

    async def surprising() -> object:
        if surprises:
            raise surprises.pop()
        return await ping()

    monkeypatch.setattr(rest.cache._redis, "ping", surprising)
    numbers = itertools.count(1)

    async def write() -> None:
        number = next(numbers)
        for n in range(10):
            await rest.cache.invalidate({f"resource:busy-{n}": number})

    await write()
    assert rest.metric("cache_available") == 0
    healthy_redis.container.unpause()

    async def available() -> bool:
        await write()
        return rest.metric("cache_available") == 1

    await eventually(available)
    assert surprises == []


async def test_the_cache_is_forgotten_on_every_write(rest: Rest) -> None:
    created = await rest.create()
    path = f"{PATH}/{created['id']}"
    await rest.http.get(path)
    for number in range(5):
        updated = (await rest.http.put(path, json={"name": f"n{number}"})).json()
        assert (await rest.http.get(path)).json() == updated
        assert (await rest.http.get(path)).json() == updated
    await rest.http.delete(path)
    assert (await rest.http.get(path)).status_code == 404
    assert rest.metric("cache_requests_total", result="hit") == 5


async def test_a_slow_reader_cannot_cache_an_old_version(rest: Rest) -> None:
    """Reader fetches version 1; writer stores 2 and invalidates; reader comes to cache 1."""
    resource_id = (await rest.create())["id"]
    path, key = f"{PATH}/{resource_id}", f"resource:{resource_id}"
    await rest.http.put(path, json={"name": "new"})
    new = Entry(2, b"new")
    await rest.cache.put(key, 1, b"old")
    assert await rest.cache.get(key) is None
    await rest.cache.put(key, 2, b"new")
    assert await rest.cache.get(key) == new
    await rest.cache.put(key, 1, b"old")
    assert await rest.cache.get(key) == new
    await rest.cache.invalidate({key: 2})  # late: the entry already is version 2
    assert await rest.cache.get(key) == new
    await rest.http.delete(path)
    await rest.cache.put(key, 2, b"new")
    assert await rest.cache.get(key) is None


async def test_what_another_release_cached_in_another_shape_is_not_answered(rest: Rest) -> None:
    created = await rest.create()
    key, path = f"resource:{created['id']}", f"{PATH}/{created['id']}"
    for other in (b'{"id":"of another release"}', b"0123abcd{}", b"not JSON"):
        await rest.cache.put(key, created["version"] - 1, other)
        assert await rest.cache.get(key) is not None
        response = await rest.http.get(path)
        assert (response.json(), response.headers["etag"]) == (created, '"1"')
        await rest.cache._redis.set(key, "0:")


async def test_a_redis_whose_certificate_is_not_ours_is_not_used(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = Authority.make(tmp_path_factory.mktemp("stranger"))
    wrong = redis_server.settings().model_copy(update={"ca_file": stranger.ca_file})
    client = redis_client.client(wrong, timeout=PATIENCE)
    with pytest.raises(redis_client.RedisError, match="certificate verify failed"):
        await client.ping()
    await client.aclose()
    elsewhere = redis_server.settings().model_copy(update={"host": "127.0.0.1"})
    client = redis_client.client(elsewhere, timeout=PATIENCE)
    with pytest.raises(redis_client.RedisError, match="certificate verify failed"):
        await client.ping()
    await client.aclose()


@pytest.mark.parametrize("fault", ["authority", "name"])
async def test_a_postgres_whose_certificate_is_not_ours_is_not_used(
    restdb: DatabaseSettings, tmp_path_factory: pytest.TempPathFactory, fault: str
) -> None:
    stranger = Authority.make(tmp_path_factory.mktemp("stranger"))
    wrong: dict[str, Any] = (
        {"ca_file": stranger.ca_file} if fault == "authority" else {"host": "127.0.0.1"}
    )
    database = Database(
        restdb.model_copy(update=wrong), CollectorRegistry(), application_name="test", **PATIENT
    )
    await database.open()
    with pytest.raises(DatabaseUnavailableError, match="certificate verify failed"):
        await database.ping()
    await database.close()


async def test_the_process_starts_without_its_servers_and_recovers(
    healthy_postgres: PostgresServer, process: Process
) -> None:
    healthy_postgres.container.kill()
    await eventually(lambda: _is(process, "/ready", 503))
    assert await process.status("/health") == 200
    healthy_postgres.container.start()
    await eventually(lambda: _is(process, "/ready", 200))


async def test_the_process_has_a_connection_before_anybody_asks_for_it(
    process: Process, restdb: DatabaseSettings
) -> None:
    async def connected() -> bool:
        found = (await process.http.get("/metrics")).text
        return f'db_pool_connections{{database="{restdb.name}",state="idle"}} 1.0' in found

    await eventually(connected)


async def _is(process: Process, path: str, status: int) -> bool:
    return await process.status(path) == status


async def test_sigterm_fails_ready_first_and_lets_requests_finish(
    process: Process, restdb: DatabaseSettings, postgres: PostgresServer
) -> None:
    created = await process.http.post(PATH, json={"name": "before"})
    path = created.headers["location"]
    is_closed = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        # Held up by its client: the server may wait longer for that than for a statement.
        yield b'{"name": '
        await is_closed.wait()
        yield b'"after"}'

    headers = {"content-type": "application/json"}
    write = asyncio.create_task(process.http.put(path, content=body(), headers=headers))
    await eventually(lambda: _is(process, "/ready", 200))

    await process.terminate()
    await eventually(lambda: _is(process, "/ready", 503))

    async def closed() -> bool:
        # A new connection each time: a kept one may be served until its request is done.
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", process.port)
        except OSError:
            return True
        writer.close()
        return False

    await eventually(closed)
    assert not write.done()
    is_closed.set()
    answer = await write
    assert (answer.status_code, answer.json()["name"]) == (200, "after")
    assert await process.ended() == 0

    async def none_left() -> bool:  # a session outlives its client for a moment
        return not await postgres.as_admin(
            f"SELECT 1 FROM pg_stat_activity WHERE datname = '{restdb.name}'"
        )

    await eventually(none_left)


@pytest.mark.parametrize("database_patience", [{}], ids=["as the service"])
async def test_a_frozen_postgres_is_503_too_and_no_request_hangs(
    rest: Rest, healthy_postgres: PostgresServer
) -> None:
    """Connections stay open and nothing answers, as when a node is lost."""
    created = await rest.create()
    path = f"{PATH}/{created['id']}"
    healthy_postgres.container.pause()
    async with asyncio.timeout(30):
        # More at once than the pool has connections: some wait for one, some for an answer.
        answers = await asyncio.gather(
            *(rest.http.put(path, json={"name": "x"}) for _ in range(25))
        )
    for answer in answers:
        assert_unavailable(answer)
    assert (await rest.http.get("/ready")).status_code == 503
    healthy_postgres.container.unpause()

    async def writable() -> bool:
        return (await rest.http.put(path, json={"name": "y"})).status_code == 200

    await eventually(writable)
