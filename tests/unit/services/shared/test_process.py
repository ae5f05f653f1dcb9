"""A process whose work is over does not go on answering probes."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from services.shared.runtime.heartbeat import Heartbeat
from services.shared.runtime.settings import ServiceSettings
from services.shared.wiring.process import Process, together, work_until_stopped

SOON = 20.0


class Database:
    async def ping(self) -> None:
        pass


def process() -> Process:
    service = ServiceSettings(
        service_name="svc", http_host="127.0.0.1", http_port=0, drain_seconds=0
    )
    return Process(service, Database(), CollectorRegistry(), Heartbeat(60))


async def breaks(_stop: asyncio.Event) -> None:
    raise RuntimeError("the port is taken")


async def test_a_process_whose_work_breaks_ends_with_what_broke_it() -> None:
    told: list[str] = []
    async with asyncio.timeout(SOON):
        with pytest.raises(RuntimeError, match="the port is taken"):
            await work_until_stopped(process(), breaks, on_stop=lambda: told.append("stop"))
    assert "stop" in told


async def test_when_a_part_breaks_the_others_are_told_and_end_in_their_own_time() -> None:
    ended: list[str] = []

    async def other(stop: asyncio.Event) -> None:
        await stop.wait()
        await asyncio.sleep(0.05)
        ended.append("other")

    async def work(stop: asyncio.Event) -> None:
        await together(stop, other(stop), breaks(stop))

    async with asyncio.timeout(SOON):
        with pytest.raises(RuntimeError, match="the port is taken"):
            await work_until_stopped(process(), work, on_stop=lambda: None)
    assert ended == ["other"]


async def test_parts_that_are_cancelled_are_all_cancelled() -> None:
    ended: list[int] = []

    async def part(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    running = asyncio.create_task(together(asyncio.Event(), part(1), part(2)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(ended) == [1, 2]
