"""Rollups beside what MySQL makes of the same points."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from tests.integration.cpu_writer.conftest import UNHURRIED, StartWriter
from tests.integration.cpu_writer.points import TOGETHER, WINDOW, Point, Sender, Tables
from tests.integration.kafka_container import KafkaServer
from tests.integration.servers import eventually

HOUR = 3600


def measured(
    *, begin: float, seconds: int, devices: int = 20, every: float = 1.0, seed: int = 1
) -> Iterator[Point]:
    """Points as devices send them, in the order of their times; some come twice, with a newer
    value."""
    rng = random.Random(seed)
    for step in range(1, int(seconds / every) + 1):
        for device in range(devices):
            metric = "temperature" if device % 2 else "pressure"
            ts = begin + step * every + device / 1000
            value = rng.gauss(20, 5) if rng.random() > 0.01 else rng.gauss(20, 500)
            point = Point(f"device-{device}", metric, ts, value, 2 * step)
            yield point
            if rng.random() < 0.05:
                yield point._replace(value=rng.gauss(20, 5), version=point.version + 1)
            if rng.random() < 0.05:
                yield point._replace(value=rng.gauss(20, 5), version=point.version - 1)


async def test_a_backlog_comes_out_as_the_database_computes_it(
    sender: Sender, tables: Tables, start_writer: StartWriter
) -> None:
    points = list(measured(begin=time.time() - 26 * HOUR, seconds=600))
    sender.points(points)
    await tables.store(points)
    writer = start_writer(**UNHURRIED)
    await tables.come_right()
    rollups = len(await tables.rollups())
    assert rollups >= 20 * 600 / WINDOW
    # Counted when the answer is there, which is after the rows are.
    await eventually(lambda: writer.metric_is("cpu_writer_windows_written_total", rollups))
    assert await writer.metric("cpu_writer_points_late_total") == 0
    await eventually(writer.ready)
    assert writer.terminate() == 0


async def test_points_that_come_now_come_out_although_none_follows(
    tables: Tables, start_writer: StartWriter, kafka_server: KafkaServer
) -> None:
    writer = start_writer()
    await eventually(writer.ready)
    sender = Sender(kafka_server, **TOGETHER)
    points = list(measured(begin=time.time() - 3, seconds=3, every=0.1))
    sender.points(points)
    await tables.store(points)
    await tables.come_right()
    # It is measured every second, and not before the rows are there.
    await eventually(lambda: writer.metric_is("cpu_writer_windows_open", 0))


async def test_numbers_of_every_size_are_stored(
    sender: Sender, tables: Tables, start_writer: StartWriter
) -> None:
    begin = (time.time() - HOUR) // WINDOW * WINDOW
    values = {
        "huge": [1.7e308, 1.6e308, 1.7e308],
        "both-ends": [1.7e308, -1.7e308, 0.0],
        "tiny": [5e-324, 1e-310, 3e-320],
        "zero": [0.0, -0.0],
        "one": [42.5],
        "equal": [0.1] * 10,
        "mostly-equal": [1.0, 1.0, 1.0, 5.0],
        "far": [1e-300] * 2 + [2e-300] * 2 + [1e300],
    }
    for name, some in values.items():
        sender.points(
            Point(name, "size", begin + n / 100, value, 1) for n, value in enumerate(some)
        )
    # It finds all of them: with a part of them it might take their window for one that is over.
    start_writer()
    await tables.holds(len(values))
    found = {row["device_id"]: row for row in await tables.rollups()}
    assert found["huge"]["mean"] == pytest.approx(1.7e308 / 3 * 2 + 1.6e308 / 3)
    assert (found["both-ends"]["minimum"], found["both-ends"]["maximum"]) == (-1.7e308, 1.7e308)
    assert found["both-ends"]["mean"] == 0
    assert found["one"]["p95"] == found["one"]["mean"] == 42.5
    assert found["equal"]["mean"] == 0.1
    assert found["equal"]["anomaly_score"] == 0
    assert found["mostly-equal"]["anomaly_score"] == pytest.approx(4 / 1.253314)
    assert 1e308 < found["far"]["anomaly_score"] < float("inf")


async def test_messages_that_are_no_points_are_counted_and_passed_over(
    sender: Sender, tables: Tables, start_writer: StartWriter
) -> None:
    begin = time.time() - HOUR
    good = list(measured(begin=begin, seconds=20, devices=2))
    for value in (b"", None, b"{", b"[]", b'{"device_id": "x"}', b"\xff\xfe"):
        sender.message(b"device-0", value, begin)
    # Under another device's key it may lie in another partition than that device's other points.
    body = (
        b'{"device_id":"device-0","metric":"m","ts":"2026-01-01T00:00:00Z","value":1,"version":1}'
    )
    sender.message(b"device-1", body, begin)
    sender.points(good)
    await tables.store(good)
    # It finds all of them: with a part of them it might take their window for one that is over.
    writer = start_writer()
    await tables.come_right()

    async def counted() -> bool:
        return await writer.metric("cpu_writer_points_unreadable_total") == 7

    await eventually(counted)


async def test_a_late_point_is_counted_once_and_changes_no_rollup(
    sender: Sender, tables: Tables, start_writer: StartWriter
) -> None:
    # Long enough that nothing is counted twice; the next one waits until it is over.
    session = {"KAFKA_SESSION_TIMEOUT_MS": 20_000}
    begin = time.time() - HOUR
    points = list(measured(begin=begin, seconds=60, devices=1))
    sender.points(points)
    await tables.store(points)
    # It finds all of them: with a part of them it might take their window for one that is over.
    writer = start_writer(**session)
    await tables.come_right()
    before = await tables.rollups()
    now = time.time()
    late, ahead = Point("device-0", "pressure", begin, 1.0, 99), Point("device-0", "x", now, 1.0, 1)
    sender.points([late], stamp=now)
    sender.points([ahead._replace(ts=now + 2 * HOUR)], stamp=now)

    async def counted() -> bool:
        return await writer.metric("cpu_writer_points_late_total") == 2

    await eventually(counted)
    assert await writer.metric('cpu_writer_points_late_total{reason="closed"}') == 1
    assert await writer.metric('cpu_writer_points_late_total{reason="ahead"}') == 1
    writer.kill()
    newer = [Point("device-0", "pressure", now + n / 10, 1.0, 1) for n in range(10)]
    sender.points(newer, stamp=now + 1)
    await tables.store(newer)
    again = start_writer(**session)
    await tables.come_right()
    assert await again.metric("cpu_writer_points_late_total") == 0
    assert [row for row in await tables.rollups() if row in before] == before
