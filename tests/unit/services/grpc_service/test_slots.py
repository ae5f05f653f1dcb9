"""Processes on their own: what one piece of work does to its process hurts no other."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from services.grpc_service.slots import Slots
from services.grpc_service.work import BadInputError, perform
from services.shared.runtime.pool import LostError

_PATIENCE = 240


@pytest.fixture
async def slots() -> AsyncIterator[Slots]:
    restarts = Counter("restarts", "Processes replaced.", registry=CollectorRegistry())
    made = Slots(2, restarts, piece_seconds=_PATIENCE)
    yield made
    await made.close()


async def test_a_result_and_what_is_wrong_with_the_input_come_back(slots: Slots) -> None:
    assert await slots.once(perform, "deleted", '{"id": "r-1"}') == '{"removed":"r-1"}'
    with pytest.raises(BadInputError, match="text: must be text"):
        await slots.once(perform, "terms", "{}")


async def test_a_task_that_kills_its_process_is_lost_and_its_neighbour_is_not(
    slots: Slots, tmp_path: Path
) -> None:
    begun, end = tmp_path / "begun", tmp_path / "end"
    neighbour = asyncio.create_task(slots.once(_until, str(begun), str(end)))
    async with asyncio.timeout(_PATIENCE):
        while not begun.exists():
            await asyncio.sleep(0.01)
        with pytest.raises(LostError):
            await slots.once(os._exit, 3)
        end.touch()
        assert await neighbour


async def test_work_is_given_to_a_process_that_was_not_lost_before(
    slots: Slots, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    neighbour = asyncio.create_task(slots.once(_until, str(tmp_path / "begun"), str(end)))
    await asyncio.sleep(0)
    other = await slots.once(os.getpid)
    end.touch()
    assert await neighbour
    with pytest.raises(LostError):
        await slots.once(os._exit, 3)
    assert await slots.once(os.getpid) == other


async def test_one_after_the_other_is_done_by_one_process(slots: Slots) -> None:
    assert len({await slots.once(os.getpid) for _ in range(3)}) == 1


async def test_processes_without_work_go(slots: Slots) -> None:
    first = await slots.once(os.getpid)
    slots.rest(1000)
    assert await slots.once(os.getpid) == first
    slots.rest(0)
    assert await slots.once(os.getpid) != first


def _until(begun: str, end: str) -> bool:
    Path(begun).touch()
    while not Path(end).exists():
        time.sleep(0.01)
    return True
