"""The stream's server killed, frozen or full."""

import asyncio
import itertools
import time

import httpx
import pytest
from redis.asyncio import Redis

from services.shared.stream import names
from tests.integration.ingest_service.conftest import (
    PATH,
    STREAM,
    Ingest,
    MakeIngest,
    as_in_the_cluster,
)
from tests.integration.ingest_service.stream_server import IngestRedis
from tests.integration.ingest_service.writing import entries
from tests.integration.servers import eventually

REFUSED = {f"urn:millrace:problem:{kind}" for kind in ("unavailable", "outcome-unknown")}


def assert_refused(response: httpx.Response, *kinds: str) -> None:
    assert response.status_code == 503, response.text
    assert int(response.headers["retry-after"]) >= 1
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] in ({f"urn:millrace:problem:{k}" for k in kinds} or REFUSED)


async def accepts(ingest: Ingest) -> bool:
    return (await ingest.http.post(PATH, json={})).status_code == 202


async def test_a_server_that_is_killed_under_load_loses_nothing_that_was_acknowledged(
    make_ingest: MakeIngest,
    stream: Redis,
    stream_server: IngestRedis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    as_in_the_cluster(monkeypatch, *STREAM)
    ingest = await make_ingest()
    numbers = itertools.count()
    acknowledged: set[str] = set()
    statuses: list[int] = []
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            name = f"n{next(numbers)}"
            response = await ingest.http.post(PATH, json=[{"id": name}, {"id": f"{name}-b"}])
            statuses.append(response.status_code)
            if response.status_code == 202:
                acknowledged.update(response.json()["ids"])
            else:
                assert_refused(response)
                await asyncio.sleep(0.05)

    async def five_hundred_more() -> None:
        enough = len(acknowledged) + 500

        async def there() -> bool:
            return len(acknowledged) > enough

        await eventually(there)

    writers = [asyncio.create_task(write()) for _ in range(20)]
    for _ in range(2):
        await five_hundred_more()
        stream_server.container.kill()
        await asyncio.sleep(0.3)
        stream_server.container.start()
    await five_hundred_more()
    stop.set()
    await asyncio.gather(*writers)
    assert set(statuses) == {202, 503}
    kept = {fields[b"id"].decode(): entry for entry, fields in await entries(stream)}
    assert acknowledged <= set(kept)
    for name in list(acknowledged)[::50]:
        assert await ingest.get(name) == {"id": name}
    pending = await stream.keys(names.PENDING + "*")
    assert len(pending) == len(kept)


async def test_a_frozen_server_is_503_within_seconds_and_all_recovers_by_itself(
    make_ingest: MakeIngest,
    stream: Redis,
    stream_server: IngestRedis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    as_in_the_cluster(monkeypatch, *STREAM)
    ingest = await make_ingest()
    await ingest.accept({"id": "before"})
    stream_server.container.pause()
    started = time.monotonic()
    answers = await asyncio.gather(
        *(ingest.http.post(PATH, json={"id": f"{n}"}) for n in range(50)),
        *(ingest.http.get(f"{PATH}/before") for _ in range(50)),
    )
    assert time.monotonic() - started < 30  # one after the other they would take minutes
    for answer in answers:
        assert_refused(answer)
    # From then on nobody waits at all.
    await eventually(lambda: _ready(ingest, 503))
    started = time.monotonic()
    for _ in range(50):
        assert_refused(await ingest.http.post(PATH, json={}), "unavailable")
    assert time.monotonic() - started < 25  # half a second each is no time-out
    assert (await ingest.http.get("/health")).status_code == 200
    assert ingest.metric("ingest_admission_closed", reason="unknown") == 1
    stream_server.container.unpause()
    await eventually(lambda: accepts(ingest))
    assert await ingest.get("before") == {"id": "before"}
    # What was cut off while it was sent may be there, as its answer said; nothing else.
    there = {fields[b"id"] for _, fields in await entries(stream)}
    assert len(there) < 60


async def _ready(ingest: Ingest, status: int) -> bool:
    return (await ingest.http.get("/ready")).status_code == status


async def test_who_was_not_told_may_send_the_same_again(
    make_ingest: MakeIngest,
    stream: Redis,
    stream_server: IngestRedis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Frozen while the call is out: Redis does it when it goes on, after the answer."""
    # Not the gate's: it might see before the call that nobody answers, and nothing would go out.
    as_in_the_cluster(monkeypatch, "ACCEPT_TIMEOUT")
    ingest = await make_ingest()
    await ingest.accept({"id": "warm"})
    stream_server.container.pause()
    answer = await ingest.http.post(PATH, json={"id": "a", "n": 1})
    assert_refused(answer, "outcome-unknown")
    stream_server.container.unpause()
    await eventually(lambda: accepts(ingest))
    await ingest.accept({"id": "a", "n": 1})
    assert await ingest.get("a") == {"id": "a", "n": 1}
    assert await stream.hget(names.pending("a"), "e") == (await entries(stream))[-1][0].encode()


async def test_a_server_without_memory_is_503_and_takes_nothing_in_part(
    ingest: Ingest, stream: Redis
) -> None:
    await ingest.accept({"id": "before"})
    used = (await stream.info("memory"))["used_memory"]
    await stream.config_set("maxmemory", used - 100_000)
    response = await ingest.http.post(PATH, json=[{"id": "a"}, {"id": "b"}])
    assert_refused(response, "full")
    assert ingest.metric("ingest_requests_refused_total", reason="fuse") == 1
    assert await ingest.get("before") == {"id": "before"}
    assert await ingest.get("a") is None
    assert await stream.xlen(names.STREAM) == 1
    await stream.config_set("maxmemory", 0)
    await ingest.accept({"id": "a"})


async def test_the_gate_closes_before_the_memory_is_used_up(
    make_ingest: MakeIngest, stream: Redis
) -> None:
    used = (await stream.info("memory"))["used_memory"]
    limit = used + 8 * 2**20
    await stream.config_set("maxmemory", limit)
    high = 100 * (used + 3 * 2**20) / limit
    low = 100 * (used + 2 * 2**20) / limit
    ingest = await make_ingest(memory_bytes=limit, memory_high_percent=high, memory_low_percent=low)
    taken = 0
    while True:
        response = await ingest.http.post(PATH, json={"text": "x" * 50_000})
        if response.status_code == 503:
            break
        taken += 1
        await asyncio.sleep(0.01)
    assert_refused(response, "full")
    assert taken > 10
    assert ingest.metric("ingest_requests_refused_total", reason="memory") == 1
    assert ingest.metric("ingest_requests_refused_total", reason="fuse") == 0
    await stream.flushall()
    await eventually(lambda: accepts(ingest))


async def test_a_server_that_does_not_let_the_service_in_is_503(
    ingest: Ingest, stream: Redis
) -> None:
    await stream.execute_command("ACL", "SETUSER", "ingest-service", "-evalsha")
    response = await ingest.http.post(PATH, json={})
    await stream.execute_command("ACL", "SETUSER", "ingest-service", "+evalsha")
    assert_refused(response, "unavailable")
    assert await accepts(ingest)


async def test_nobody_is_the_default_user_although_it_reads_the_append_only_file(
    stream: Redis, stream_server: IngestRedis
) -> None:
    stranger = stream_server.container
    code, said = stranger.ask("redis-cli", "--tls", "--insecure", "PING")
    assert "NOAUTH" in said, (code, said)
    code, said = stranger.ask("redis-cli", "--tls", "--insecure", "AUTH", "default", "")
    assert "WRONGPASS" in said, (code, said)
