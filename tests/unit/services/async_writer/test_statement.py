"""The text of the one statement."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime

import pytest

from services.async_writer.points import Point
from services.async_writer.settings import AsyncWriterSettings
from services.async_writer.statement import MOST_ROWS, upsert
from services.contracts.telemetry import LATEST, MAX_DEVICE_ID, MAX_METRIC, MAX_VERSION

TS = datetime(2026, 1, 1, 12, 30, 15, 42, tzinfo=UTC)


def point(value: float = 1.5, device: str = "d") -> Point:
    return Point((device, "m", TS), value, 7, None)


def test_all_rows_are_in_one_insert():
    text = upsert([point(device=f"d{n}") for n in range(500)])
    assert text.count("INSERT") == 1
    assert text.count("('d") == 500
    assert ";" not in text


def test_the_version_is_assigned_last():
    text = upsert([point()])
    value = text.index("value = IF(fresh.version > telemetry.version")
    assert value < text.index("version = GREATEST(fresh.version, telemetry.version)")
    assert text.endswith("GREATEST(fresh.version, telemetry.version)")
    assert "VALUES(" not in text


def test_times_keep_their_microseconds():
    assert "'2026-01-01 12:30:15.000042'" in upsert([point()])


def test_a_quote_does_not_end_a_text():
    text = upsert([point(device='it\'s \\ a "d"')])
    assert "'it\\'s \\\\ a \\\"d\\\"'" in text


@pytest.mark.parametrize("value", [0.1, -0.0, 3.0, 1e22, 5e-324, 1.7976931348623157e308, -2.5e-8])
def test_numbers_are_written_with_an_exponent_and_to_the_last_bit(value: float):
    [number] = re.findall(r"042',([^,]+),7\)", upsert([point(value)]))
    assert "e" in number
    assert float(number).hex() == value.hex()


def test_the_largest_batch_is_far_below_what_a_server_takes():
    number = -random.Random(1).random() * 1e-300
    widest = Point(("d" * MAX_DEVICE_ID, "m" * MAX_METRIC, LATEST), number, MAX_VERSION, None)
    assert len(upsert([widest] * MOST_ROWS)) < 2**20 / 3


def test_a_batch_never_exceeds_one_statement():
    with pytest.raises(ValueError, match="less than or equal to 1000"):
        AsyncWriterSettings(batch_size=MOST_ROWS + 1)
