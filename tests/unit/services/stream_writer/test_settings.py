"""The writer's settings, and what follows from them."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from services.shared.runtime.settings import SettingsError, load
from services.stream_writer.beats import SlowestBeat
from services.stream_writer.budget import Budget
from services.stream_writer.settings import WriterSettings


def test_a_batch_may_grow_while_it_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRITER_ID", "writer-1")
    assert (load(WriterSettings).batch_size, load(WriterSettings).most) == (200, 1000)
    assert load(WriterSettings).commits_per_second == 80


def test_a_writer_without_a_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WRITER_ID", raising=False)
    with pytest.raises(SettingsError, match="WRITER_ID: not set"):
        load(WriterSettings)


@pytest.mark.parametrize(("per_second", "burst"), [(1, 1), (10, 1), (20, 2), (80, 8), (1000, 100)])
def test_unused_slots_of_a_tenth_of_a_second_are_kept(per_second: float, burst: int) -> None:
    assert Budget(Redis(), per_second).burst == burst


def test_a_process_is_alive_while_each_of_its_loops_is() -> None:
    process = SlowestBeat(60)
    assert process.alive()
    first, second = process.part(), process.part()
    assert process.alive()
    first._last -= 61
    second.beat()
    assert not process.alive()
    assert process.age() >= 61
    first.beat()
    assert process.alive()
