from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from services.shared.runtime.pool import LostError, Pool

MakePool = Callable[..., Pool]
_PATIENCE = 240


@pytest.fixture
def restarts() -> Counter:
    return Counter("restarts", "Pools replaced.", registry=CollectorRegistry())


@pytest.fixture
async def make_pool(restarts: Counter) -> AsyncIterator[MakePool]:
    made: list[Pool] = []

    def make(processes: int = 2, piece_seconds: float = 600) -> Pool:
        made.append(Pool(processes, restarts, piece_seconds=piece_seconds))
        return made[-1]

    yield make
    for pool in made:
        await pool.close()


def _count(restarts: Counter) -> float:
    return next(iter(restarts.collect())).samples[0].value


async def test_no_process_is_made_before_there_is_work(make_pool: MakePool) -> None:
    pool = make_pool()
    assert not pool.made
    assert await pool.run(os.getpid) != os.getpid()
    assert pool.made


async def test_what_work_raises_comes_back_and_costs_no_process(
    make_pool: MakePool, restarts: Counter
) -> None:
    pool = make_pool(1)
    before = await pool.run(os.getpid)
    with pytest.raises(ValueError, match="invalid literal"):
        await pool.run(int, "nothing")
    assert await pool.run(os.getpid) == before
    assert _count(restarts) == 0


async def test_work_of_a_killed_process_is_done_again(
    make_pool: MakePool, restarts: Counter, tmp_path: Path
) -> None:
    pool = make_pool(2)
    victim = await pool.run(os.getpid)
    beginning = [
        asyncio.create_task(pool.run(_first_time_slowly, str(tmp_path / str(number))))
        for number in range(2)
    ]
    async with asyncio.timeout(_PATIENCE):
        while len(list(tmp_path.iterdir())) < 2:
            await asyncio.sleep(0.01)
        os.kill(victim, signal.SIGKILL)
        assert await asyncio.gather(*beginning) == [True, True]
    assert _count(restarts) >= 1


async def test_work_that_is_stuck_is_taken_from_its_process(
    make_pool: MakePool, restarts: Counter, tmp_path: Path
) -> None:
    pool = make_pool(1, piece_seconds=5)
    async with asyncio.timeout(_PATIENCE):
        assert await pool.run(_first_time_slowly, str(tmp_path / "begun"))
    assert _count(restarts) >= 1


async def test_work_that_is_to_be_tried_once_is_lost_with_its_process_and_the_next_is_done(
    make_pool: MakePool, restarts: Counter
) -> None:
    pool = make_pool(1)
    with pytest.raises(LostError, match="BrokenProcessPool"):
        await pool.once(os._exit, 3)
    assert await pool.once(abs, -1) == 1
    assert _count(restarts) == 1


async def test_work_without_an_answer_is_lost_after_its_time(
    make_pool: MakePool, restarts: Counter
) -> None:
    pool = make_pool(1, piece_seconds=0.5)
    with pytest.raises(LostError, match=r"no answer within 0\.5 s"):
        await pool.once(time.sleep, 10 * _PATIENCE)
    assert _count(restarts) == 1


async def test_a_process_that_died_with_nothing_to_do_costs_no_work(
    make_pool: MakePool, restarts: Counter
) -> None:
    pool = make_pool(1)
    idle = await pool.once(os.getpid)
    os.kill(idle, signal.SIGKILL)
    async with asyncio.timeout(_PATIENCE):
        # Until the executor has noticed, of which it tells nobody.
        while not getattr(getattr(pool, "_executor", None), "_broken", None):
            await asyncio.sleep(0.01)
        assert await pool.once(os.getpid) != idle
    assert _count(restarts) == 1


async def test_processes_without_work_go_and_come_back(make_pool: MakePool) -> None:
    pool = make_pool(1)
    first = await pool.run(os.getpid)
    pool.rest(1000)
    assert pool.made
    pool.rest(0)
    assert not pool.made
    assert await pool.run(os.getpid) != first


def test_the_processes_end_with_the_one_that_made_them() -> None:
    script = textwrap.dedent("""
        import asyncio, os, sys
        from prometheus_client import CollectorRegistry, Counter
        from services.shared.runtime.pool import Pool

        async def main():
            pool = Pool(1, Counter("restarts", "", registry=CollectorRegistry()))
            print(await pool.run(os.getpid), flush=True)
            await asyncio.sleep(1000)

        asyncio.run(main())
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
    until = time.monotonic() + _PATIENCE
    while not _is_over(child):
        assert time.monotonic() < until, f"process {child} outlived the one that made it"
        time.sleep(0.01)


def _first_time_slowly(begun: str) -> bool:
    """Endless for whoever begins it first; True for whoever comes next."""
    path = Path(begun)
    if path.exists():
        return True
    path.touch()
    time.sleep(10 * _PATIENCE)
    return False


def _is_over(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "XZ"
    except (FileNotFoundError, ProcessLookupError):
        return True
