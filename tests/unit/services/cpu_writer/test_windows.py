from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from services.cpu_writer.progress import Progress, resumed
from services.cpu_writer.rollups import roll_up
from services.cpu_writer.windows import AHEAD, LATE, UNREADABLE, Partition, Rule
from tests.unit.services.cpu_writer.made import BEGIN, FAR, SECOND, Sent, parsed

RULE = Rule(10 * SECOND, 5 * SECOND, 60 * SECOND)
Written = dict[tuple[str, int], tuple[int, float, float]]
"""Device and start of a window in seconds from BEGIN, to points, minimum and maximum."""


def fresh(offset: int = 0) -> Partition:
    return Partition(RULE, Progress(offset, offset, 0, RULE.window))


def take(
    partition: Partition, messages: Sequence[Sent | None], first: int = 0, now: int = FAR
) -> Written:
    """Take messages in, and what is written of it."""
    partition.take(parsed(messages, first), first + len(messages), now)
    return write(partition)


def write(partition: Partition) -> Written:
    due = partition.due()
    written: Written = {}
    if due:
        rollups = roll_up(due)
        for row in rollups.rows(0, len(rollups)):
            start = (row[2] - START_NAIVE).total_seconds()
            written[row[0], int(start)] = (row[3], row[4], row[5])
        partition.written([start for start, _ in due])
    return written


START_NAIVE = roll_up([(BEGIN, [parsed([Sent(0)]).points])]).rows(0, 1)[0][2]


def test_a_window_closes_when_the_watermark_passes_its_end_and_the_grace() -> None:
    it = fresh()
    assert take(it, [Sent(0), Sent(9.999999), Sent(10), Sent(14.999999)]) == {}
    assert take(it, [Sent(15)], 4) == {("device", 0): (2, 1.0, 1.0)}
    assert len(it) == 1


def test_windows_are_aligned_and_half_open() -> None:
    it = fresh()
    written = take(it, [Sent(9.999999), Sent(10), Sent(19.999999), Sent(20), Sent(100)])
    assert [(start, row[0]) for (_, start), row in written.items()] == [(0, 1), (10, 2), (20, 1)]


def test_points_out_of_order_within_the_grace_are_counted() -> None:
    it = fresh()
    take(it, [Sent(3), Sent(14), Sent(2), Sent(1)])
    assert take(it, [Sent(15)], 4) == {("device", 0): (3, 1.0, 1.0)}


def test_a_late_point_is_counted_once_whoever_reads_it_again() -> None:
    it = fresh()
    take(it, [Sent(0), Sent(15), Sent(1, value=9.0)])
    progress = it.progress()
    assert progress == Progress(1, 3, BEGIN + 10 * SECOND, RULE.window)
    assert it.committed(progress) == {LATE: 1, AHEAD: 0, UNREADABLE: 0}
    again = Partition(RULE, resumed(progress.offset, progress.metadata(), RULE.window))
    take(again, [Sent(15), Sent(1, value=9.0), Sent(2)], 1)
    assert again.committed(again.progress())[LATE] == 1


def test_late_points_are_not_counted_before_the_commit_that_counts_them() -> None:
    it = fresh()
    take(it, [Sent(0), Sent(30), Sent(1)])
    crashed = fresh()
    take(crashed, [Sent(0), Sent(30), Sent(1)])
    assert crashed.committed(crashed.progress())[LATE] == 1


def test_a_point_of_the_future_closes_nothing_and_opens_nothing() -> None:
    it = fresh()
    assert take(it, [Sent(0), Sent(1e6, stamp=1), Sent(2)]) == {}
    assert len(it) == 1
    assert it.watermark == BEGIN + 2 * SECOND
    assert it.committed(it.progress()) == {AHEAD: 1, LATE: 0, UNREADABLE: 0}


def test_a_point_that_is_ahead_a_little_counts_but_moves_the_watermark_to_its_message_only() -> (
    None
):
    it = fresh()
    assert take(it, [Sent(0), Sent(40, stamp=1)]) == {}
    assert it.watermark == BEGIN + 1 * SECOND
    assert len(it) == 2


def test_a_message_of_the_future_is_held_to_the_clock() -> None:
    it = fresh()
    assert take(it, [Sent(0), Sent(40, stamp=1000)], now=BEGIN + 2 * SECOND) == {}
    assert it.watermark == BEGIN + 2 * SECOND


def test_a_backlog_is_not_closed_by_the_clock() -> None:
    it = fresh()
    assert take(it, [Sent(0), Sent(5, stamp=86400), Sent(3, stamp=86400)]) == {}


def test_the_committed_offset_is_the_lowest_of_an_open_window() -> None:
    it = fresh(100)
    take(it, [Sent(14), Sent(3), None, Sent(12)], 100)
    assert it.progress().offset == 100
    take(it, [Sent(25)], 104)  # both are closed
    assert it.progress() == Progress(104, 105, BEGIN + 20 * SECOND, RULE.window)
    it.close_by_clock(BEGIN + 999 * SECOND)
    write(it)
    assert it.progress() == Progress(105, 105, BEGIN + 30 * SECOND, RULE.window)


def test_closing_by_the_clock_closes_what_has_ended_by_then() -> None:
    it = fresh()
    take(it, [Sent(3), Sent(14)])
    it.close_by_clock(BEGIN + 19 * SECOND)
    assert write(it) == {("device", 0): (1, 1.0, 1.0)}
    it.close_by_clock(BEGIN + 20 * SECOND)
    assert write(it) == {("device", 10): (1, 1.0, 1.0)}


def test_closing_by_the_clock_leaves_later_times_open_however_long_ago_they_are() -> None:
    it = fresh()
    take(it, [Sent(3)])
    it.close_by_clock(FAR)
    assert write(it) == {("device", 0): (1, 1.0, 1.0)}
    assert take(it, [Sent(4), Sent(11), Sent(30)], 1) == {("device", 10): (1, 1.0, 1.0)}


def test_what_is_held_is_let_go_when_it_is_written() -> None:
    it = fresh()
    assert it.size == 0
    take(it, [Sent(n / 100) for n in range(900)])
    held = it.size
    assert 900 * 36 < held < 900 * 100
    take(it, [Sent(15)], 900)
    assert it.size < 2000


def test_points_that_come_one_by_one_take_little_more_than_their_columns() -> None:
    it = fresh()
    for n in range(1000):
        take(it, [Sent(n / 1000)], n)
    assert it.size < 1000 * 100


@pytest.mark.parametrize("seed", range(20))
def test_every_cut_into_batches_and_every_restart_give_the_same_rollups(seed: int) -> None:
    rng = random.Random(seed)
    log: list[Sent | None] = []
    for n in range(400):
        at = max(0.0, n / 4 - rng.expovariate(0.3))
        log.append(
            None
            if rng.random() < 0.02
            else Sent(
                round(at, 1),
                f"device-{rng.randint(1, 3)}",
                rng.gauss(0, 1),
                rng.randint(1, 3),
                stamp=n / 4,
            )
        )
    whole = fresh()
    wanted = take(whole, log)
    lost = whole.committed(whole.progress())

    found: Written = {}
    counted: dict[str, int] = dict.fromkeys([LATE, AHEAD, UNREADABLE], 0)
    progress, it, at = Progress(0, 0, 0, RULE.window), fresh(), 0
    while at < len(log):
        end = min(len(log), at + rng.randint(1, 60))
        found |= take(it, log[at:end], at)
        at = end
        if rng.random() < 0.5:
            progress = it.progress()
            for reason, count in it.committed(progress).items():
                counted[reason] += count
        if rng.random() < 0.3:
            it = Partition(RULE, resumed(progress.offset, progress.metadata(), RULE.window))
            at = progress.offset
    for reason, count in it.committed(it.progress()).items():
        counted[reason] += count
    assert found == wanted
    assert counted == lost
