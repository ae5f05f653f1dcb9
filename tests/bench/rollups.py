"""Points a second through parsing, windows and rollups: in the event loop alone, and in the pool.

The same messages, the same functions. Beside the rates is told how long the event loop stood still
at most: that is when no heartbeat goes out and no probe is answered. "In slices" is the loop alone
that looks after others every 50 messages, which parsing can be cut to, but no window's rollup.

Then what it costs to have a few messages parsed by a process instead of at once, of which
CPU_WRITER_INLINE_POINTS is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
from prometheus_client import CollectorRegistry, Counter

from services.cpu_writer.points import Batch, Parsed, joined, parse
from services.cpu_writer.progress import Progress
from services.cpu_writer.rollups import Rollups, roll_up
from services.cpu_writer.windows import Partition, Rule
from services.shared.runtime.pool import Pool
from tests.bench.machine import Report, processor_seconds

POINTS = 200_000
DEVICES = 1000
BATCH = 2000
SLICE = 50
ROUNDS = 3
_RULE = Rule(60_000_000, 30_000_000, 300_000_000)
_BEGIN = 1_767_225_600
_TICK = 0.001

Work = Callable[..., Awaitable[object]]


@dataclass
class _Stall:
    longest: float = 0.0


def _messages(number: int) -> list[Batch]:
    """Of each device one point a second, in the order of their times."""
    rng = random.Random(1)
    keys, values, stamps = list[bytes](), list[bytes](), list[int]()
    for n in range(number):
        second, device = divmod(n, DEVICES)
        at = _BEGIN + second
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
        body = {
            "device_id": f"device-{device:05}",
            "metric": "temperature",
            "ts": f"{clock}.{device:06}Z",
            "value": rng.gauss(20, 5),
            "version": n,
        }
        keys.append(f"device-{device:05}".encode())
        values.append(json.dumps(body).encode())
        stamps.append(at * 1_000_000)
    return [_cut(Batch(keys, values, range(number), stamps), n, BATCH) for n in _each(number)]


def _each(number: int, size: int = BATCH) -> Iterator[int]:
    return iter(range(0, number, size))


def _cut(batch: Batch, first: int, most: int) -> Batch:
    some = slice(first, first + most)
    return Batch(batch.keys[some], batch.values[some], batch.offsets[some], batch.stamps[some])


@asynccontextmanager
async def _watched() -> AsyncIterator[_Stall]:
    """How much later than asked for the loop came round, at most."""
    stall = _Stall()

    async def tick() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_TICK)
            stall.longest = max(stall.longest, time.perf_counter() - before - _TICK)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.01)
    try:
        yield stall
    finally:
        await asyncio.sleep(0.01)
        ticking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticking


async def _in_loop(work: Callable[..., object], *args: object) -> object:
    await asyncio.sleep(0)  # others' turn
    return work(*args)


async def _in_slices(work: Callable[..., object], *args: object) -> object:
    if work is not parse or not isinstance(args[0], Batch):
        return await _in_loop(work, *args)
    parts: list[Parsed] = []
    for first in _each(len(args[0]), SLICE):
        await asyncio.sleep(0)
        parts.append(parse(_cut(args[0], first, SLICE)))
    return Parsed(
        joined([part.points for part in parts]),
        np.concatenate([part.stamp for part in parts]),
        np.concatenate([part.unreadable for part in parts]),
    )


async def _through(batches: Sequence[Batch], run: Work, at_once: int) -> int:
    """Everything through windows and rollups; how many points the rollups hold."""
    partition, counted = Partition(_RULE, Progress(0, 0, 0, _RULE.window)), 0
    in_hand: deque[tuple[Batch, asyncio.Future[object]]] = deque()
    left = iter(batches)

    async def roll_up_due() -> int:
        due = partition.due()
        if not due:
            return 0
        rollups = await run(roll_up, due)
        assert isinstance(rollups, Rollups)
        partition.written([start for start, _ in due])
        return int(rollups.figures.count.sum())

    while True:
        while len(in_hand) < at_once and (batch := next(left, None)):
            in_hand.append((batch, asyncio.ensure_future(run(parse, batch))))
        if not in_hand:
            break
        batch, parsing = in_hand.popleft()
        parsed = await parsing
        assert isinstance(parsed, Parsed)
        partition.take(parsed, batch.offsets[-1] + 1, (_BEGIN + 10**6) * 1_000_000)
        counted += await roll_up_due()
    partition.close_by_clock((_BEGIN + 10**6) * 1_000_000)
    return counted + await roll_up_due()


def _used(pool: Pool | None) -> float:
    """Processor seconds of this process, and of those of the pool."""
    pids = list(getattr(getattr(pool, "_executor", None), "_processes", None) or {})
    return time.process_time() + sum(map(processor_seconds, pids))


async def _side(
    report: Report, side: str, batches: Sequence[Batch], run: Work, pool: Pool | None, at_once: int
) -> None:
    number = sum(map(len, batches))
    async with _watched() as stall:
        since, used = time.perf_counter(), _used(pool)
        counted = await _through(batches, run, at_once)
        took, used = time.perf_counter() - since, _used(pool) - used
    assert counted == number, f"{side}: {counted} of {number} points are in rollups"
    report.add(
        side,
        points_per_second=round(number / took, 1),
        points_per_second_and_core=round(number / used, 1),
        longest_stall_ms=round(stall.longest * 1000, 1),
    )


async def _few(report: Report, pool: Pool, batch: Batch) -> None:
    """What a few messages cost in processor time, at once and by way of the pool."""
    for number in (1, 50, 100, 200, 500, 1000):
        some, times = _cut(batch, 0, number), 20_000 // (number + 100)
        used = _used(pool)
        for _ in range(times):
            parse(some)
        direct, used = _used(pool) - used, _used(pool)
        for _ in range(times):
            await pool.run(parse, some)
        report.add(
            f"{number} messages",
            at_once_us=round(direct / times * 1e6, 1),
            by_the_pool_us=round((_used(pool) - used) / times * 1e6, 1),
        )


async def _bench(report: Report, number: int) -> None:
    batches = _messages(number)
    processes = min(4, os.cpu_count() or 1)
    restarts = Counter("restarts", "Pools replaced.", registry=CollectorRegistry())
    pool = Pool(processes, restarts, preload=["services.cpu_writer.rollups"])
    try:
        # What it takes to make the processes is not what is asked.
        await asyncio.gather(*(pool.run(parse, batches[0]) for _ in range(4 * processes)))
        for _ in range(ROUNDS):
            await _side(report, "asyncio alone", batches, _in_loop, None, 1)
            await _side(report, f"asyncio alone, slices of {SLICE}", batches, _in_slices, None, 1)
            side = f"a pool of {processes} processes"
            await _side(report, side, batches, pool.run, pool, 2 * processes)
        await _few(report, pool, batches[0])
    finally:
        await pool.close()


def run(number: int = POINTS) -> int:
    """Each side in turn, ROUNDS times over: what else runs meets all."""
    report = Report("rollups")
    asyncio.run(_bench(report, number))
    return report.close()
