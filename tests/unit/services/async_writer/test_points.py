"""Points out of messages: which go into one statement, in what order, and what is none."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from services.async_writer.points import BadPointError, Point, by_key, to_point

TS = datetime(2026, 1, 1, tzinfo=UTC)


def message(key: bytes | None = b"d", **changes: Any) -> Any:
    body = {
        "device_id": "d",
        "metric": "m",
        "ts": "2026-01-01T02:00:00.123456+02:00",
        "value": 1.5,
        "version": 7,
    } | changes
    return SimpleNamespace(key=key, value=json.dumps(body).encode(), headers=())


def point(device: str, version: int, metric: str = "m", ts: datetime = TS) -> Point:
    return Point((device, metric, ts), float(version), version, None)


def test_a_point_is_keyed_by_device_metric_and_time_in_utc():
    found = to_point(message())
    assert found.key == ("d", "m", datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC))
    assert (found.value, found.version) == (1.5, 7)


def test_a_message_under_another_devices_key_is_no_point():
    for key in (b"e", b"", None, b"D"):
        with pytest.raises(BadPointError, match="key: is not the device_id"):
            to_point(message(key))


def test_a_reason_names_the_field_and_not_the_value():
    with pytest.raises(BadPointError, match=r"^value\.metric: ") as caught:
        to_point(message(metric="no spaces allowed"))
    assert "no spaces" not in str(caught.value)


def test_a_message_without_a_value_is_no_point():
    with pytest.raises(BadPointError, match="value: missing"):
        to_point(SimpleNamespace(key=b"d", value=None))


def test_the_newest_of_a_key_comes_first_in_whatever_order_they_came():
    points = [point("a", version) for version in (1, 2, 3, 4)]
    for order in itertools.permutations(points):
        [versions] = by_key(order)
        assert [one.version for one in versions] == [4, 3, 2, 1]


def test_of_equal_versions_the_one_that_came_first_counts():
    first, second = point("a", 1), point("a", 1)
    [versions] = by_key([first, second])
    assert versions[0] is first


def test_keys_are_in_the_order_of_the_primary_key_by_bytes():
    later = datetime(2026, 1, 2, tzinfo=UTC)
    points = [
        point("a", 1, "b"),
        point("B", 1),
        point("a", 1, "B"),
        point("a", 1, "b", later),
        point("a-1", 1),
        point("a/1", 1),
    ]
    expected = [points[n].key for n in (1, 2, 0, 3, 4, 5)]
    for order in itertools.permutations(points):
        assert [versions[0].key for versions in by_key(order)] == expected
