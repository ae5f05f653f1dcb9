"""What was acknowledged, and is not there any more: after the process died, after the machine did.

A process that dies leaves what it wrote in the machine's memory, and the kernel brings it to the
disk. A machine that dies takes that with it. It is simulated: the server is frozen, its file is cut
where the kernel says that the disk's part ends (to the page, so up to 4 KiB too early), and another
server starts from what is left. What the disk itself only claims to have written is not seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from components.servers.redis import config as redis_config
from tests.integration import page_cache, redis_users
from tests.integration.containers import Containers, File
from tests.integration.servers import REDIS_UID, Authority, RedisServer, eventually, run_redis

STREAM = "data:stream"
WRITERS = 20
MAX_MEMORY = 64 * 2**20
MOMENTS = 40
EVERYSEC_SECONDS = 3.0
"""A second between two flushes, another while one is under way, and one for a slow machine; where
the disk takes longer for one, as long again as for two."""
ENOUGH = 100
_numbers = itertools.count()
Fsync = Literal["always", "everysec"]
Start = Callable[..., RedisServer]
Tell = Callable[[str, dict[str, float], dict[str, float]], None]


@pytest.fixture
async def start(containers: Containers, authority: Authority) -> AsyncIterator[Start]:
    """`start("always", data=...)`: a server that keeps, from these files."""
    made: list[RedisServer] = []

    def one(append_fsync: Fsync, data: dict[str, bytes] | None = None) -> RedisServer:
        password = authority.secret("redis-lost")
        conf = redis_users.kept(MAX_MEMORY, append_fsync)
        files = {
            f"{redis_config.DATA_PATH}/{name}": File(content, 0o600, REDIS_UID)
            for name, content in (data or {}).items()
        }
        name = f"redis-lost-{next(_numbers)}"
        container = run_redis(
            containers, authority, name, conf, [redis_users.tester(password.read_text())], files
        )
        made.append(RedisServer(container, authority, password, redis_users.TESTER))
        return made[-1]

    yield one
    for server in made:
        server.container.unpause()
        server.container.stop()


class Load:
    """Entries of several writers at once, and when each was acknowledged."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.acknowledged: dict[str, float] = {}
        self._idle: list[tuple[float, float]] = []
        """When the server was asked and said that no flush is under way."""

    async def run(self, until: asyncio.Event) -> None:
        async def write(writer: int) -> None:
            number = 0
            while not until.is_set():
                name = f"{writer}-{number}"
                try:
                    await self._redis.xadd(STREAM, {"n": name})
                except (RedisError, OSError):  # killed or frozen: nothing is acknowledged
                    await asyncio.sleep(0.05)
                    continue
                self.acknowledged[name] = time.monotonic()
                number += 1

        await asyncio.gather(self._watch(until), *(write(writer) for writer in range(WRITERS)))

    async def _watch(self, until: asyncio.Event) -> None:
        while not until.is_set():
            asked = time.monotonic()
            with contextlib.suppress(RedisError, OSError):
                about: Any = await self._redis.info("persistence")
                if not about["aof_pending_bio_fsync"]:
                    self._idle.append((asked, time.monotonic()))
            await asyncio.sleep(0.02)

    def longest_flush(self, until: float) -> float:
        """At most, as far as was seen."""
        seen = [*(one for one in self._idle if one[1] < until), (until, until)]
        return max((later[1] - one[0] for one, later in itertools.pairwise(seen)), default=0.0)


async def entries(redis: Redis) -> set[str]:
    found: Any = await redis.xrange(STREAM)
    return {fields[b"n"].decode() for _, fields in found}


def append_only(server: RedisServer) -> Path:
    (file,) = server.container.folder(redis_config.DATA_PATH).glob("appendonlydir/*.incr.aof")
    return file


def left_on_disk(server: RedisServer) -> dict[str, bytes]:
    """The files of a frozen server as the disk has them."""
    growing = append_only(server)
    written = on_disk(growing)
    return {
        f"appendonlydir/{file.name}": file.read_bytes()[: written if file == growing else None]
        for file in growing.parent.iterdir()
    }


def frozen_before_a_flush(server: RedisServer) -> tuple[float, dict[str, bytes]]:
    """Freeze it when not all that it wrote is on the disk; from when on, and what is.

    A moment later the kernel may have brought the rest there by itself; and who is frozen while a
    flush is under way is frozen when that is over.
    """
    for _ in range(MOMENTS):
        at = time.monotonic()
        server.container.pause()
        left, growing = left_on_disk(server), append_only(server)
        if len(left[f"appendonlydir/{growing.name}"]) < growing.stat().st_size:
            return at, left
        server.container.unpause()
        time.sleep(0.05)  # it is written to meanwhile; what is waited for is looked at above
    raise AssertionError(f"at none of {MOMENTS} moments was there anything that is not flushed")


async def has(load: Load, entries: int) -> bool:
    return len(load.acknowledged) > entries


async def loaded(
    server: RedisServer, seconds: float, end: Callable[[], float]
) -> tuple[dict[str, float], float]:
    """Write for so long, then end it; gives how long before that each entry was acknowledged, and
    how old at most one may be that `everysec` loses.

    `end` says when it began to: how long a busy engine takes to answer is no part of what is lost.
    """
    await server.wait()
    client = server.client(timeout=2)
    load, stop = Load(client), asyncio.Event()
    running = asyncio.create_task(load.run(stop))
    await eventually(lambda: has(load, 0))
    await asyncio.sleep(seconds)
    await eventually(lambda: has(load, ENOUGH))
    at = await asyncio.to_thread(end)  # the writers go on meanwhile
    stop.set()
    await running
    with contextlib.suppress(RedisError, OSError):  # a frozen server does not say good-bye
        await client.aclose()
    ages = {name: at - when for name, when in load.acknowledged.items()}
    return ages, EVERYSEC_SECONDS + 2 * load.longest_flush(at)


async def missing(server: RedisServer, acknowledged: dict[str, float]) -> dict[str, float]:
    await server.wait()
    client = server.client(timeout=30)
    found = await entries(client)
    await client.aclose()
    return {name: age for name, age in acknowledged.items() if name not in found}


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Print what was measured, past pytest's capturing."""

    def line(what: str, acknowledged: dict[str, float], lost: dict[str, float]) -> None:
        oldest = max(lost.values(), default=0.0)
        with capsys.disabled():
            sys.stdout.write(
                f"\n    {what}: {len(acknowledged)} acknowledged, {len(lost)} lost, the oldest "
                f"{oldest:.2f} s before\n"
            )

    return line


@pytest.mark.parametrize("append_fsync", ["always", "everysec"])
async def test_kill_9_of_the_process_under_load(
    append_fsync: Fsync, start: Start, tell: Tell
) -> None:
    server = start(append_fsync)

    def killed() -> float:
        at = time.monotonic()
        server.container.kill()
        return at

    acknowledged, oldest = await loaded(server, 2.3, killed)
    server.container.start()
    lost = await missing(server, acknowledged)
    tell(f"kill -9, appendfsync {append_fsync}", acknowledged, lost)
    if append_fsync == "always":
        assert lost == {}
    # Otherwise what waits for a flush that takes long is in the process's own memory still.
    assert max(lost.values(), default=0) <= oldest


async def test_with_always_a_machine_that_dies_has_what_was_acknowledged_on_its_disk(
    start: Start, tell: Tell
) -> None:
    server = start("always")
    await server.wait()
    client = server.client(timeout=30)
    for number in range(40):
        await client.xadd(STREAM, {"n": str(number)})
        server.container.pause()
        try:
            growing = append_only(server)
            assert on_disk(growing) == growing.stat().st_size
        finally:
            server.container.unpause()
    acknowledged = {str(number): 0.0 for number in range(40)}
    await client.aclose()
    server.container.pause()
    left = left_on_disk(server)
    lost = await missing(start("always", left), acknowledged)
    tell("the machine dies, appendfsync always", acknowledged, lost)
    assert lost == {}


async def test_with_everysec_a_machine_that_dies_takes_the_last_seconds_with_it(
    start: Start, tell: Tell
) -> None:
    server, left = start("everysec"), dict[str, bytes]()

    def frozen() -> float:
        at, files = frozen_before_a_flush(server)
        left.update(files)
        return at

    # Several times what may be lost, however slow the disk.
    acknowledged, oldest = await loaded(server, 10, frozen)
    lost = await missing(start("everysec", left), acknowledged)
    tell("the machine dies, appendfsync everysec", acknowledged, lost)
    assert lost, "nothing was lost, so this test could not see it with always either"
    assert max(lost.values()) <= oldest
    # Only the newest: after one that is missing nothing of the same writer is there.
    first: dict[str, int] = {}
    for writer, number in map(parts, lost):
        first[writer] = min(number, first.get(writer, number))
    for name in acknowledged.keys() - lost.keys():
        writer, number = parts(name)
        assert number < first.get(writer, sys.maxsize), name


def parts(name: str) -> tuple[str, int]:
    """The writer of an entry, and which of its entries it is."""
    writer, _, number = name.partition("-")
    return writer, int(number)


def on_disk(path: Path) -> int:
    try:
        return page_cache.on_disk(path)
    except page_cache.CannotTellError as error:
        pytest.skip(str(error))
