from __future__ import annotations

import itertools

import numpy as np
import pytest

from services.cpu_writer.points import Batch, joined, newest, parse
from tests.unit.services.cpu_writer.made import BEGIN, SECOND, Sent, batch, parsed, text


def test_points_come_in_columns_in_the_order_of_their_offsets() -> None:
    it = parse(batch([Sent(0.25, "b", 1.5, 7), None, Sent(1, "a", metric="x", stamp=9)], 100))
    assert it.points.names == b"b\tmetric\na\tx"
    assert it.points.series.tolist() == [0, 1]
    assert it.points.at.tolist() == [BEGIN + SECOND // 4, BEGIN + SECOND]
    assert it.points.value.tolist() == [1.5, 1.0]
    assert it.points.version.tolist() == [7, 1]
    assert it.points.offset.tolist() == [100, 102]
    assert it.stamp.tolist() == [BEGIN + SECOND // 4, BEGIN + 9 * SECOND]
    assert it.unreadable.tolist() == [101]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"device", None),
        (b"device", b""),
        (b"device", b"{"),
        (b"device", b"\xff"),
        (None, text(Sent(0))),
        (b"other", text(Sent(0))),
        (b"device", text(Sent(0), value=float("nan"))),
        (b"device", text(Sent(0), value=float("inf"))),
        (b"device", text(Sent(0), value="1")),
        (b"device", text(Sent(0), metric="m" * 101)),
        (b"device", text(Sent(0), ts="9999-06-01T00:00:00Z")),
        (b"device", text(Sent(0), ts="1969-12-31T23:59:59.999999Z")),
        (b"device", text(Sent(0), version=2**63)),
        (b"device", text(Sent(0), version=-1)),
        (b"device", b"[" * 100_000),
    ],
)
def test_what_is_no_point_is_set_apart(key: bytes | None, value: bytes | None) -> None:
    it = parse(Batch([key], [value], [5], [BEGIN]))
    assert it.unreadable.tolist() == [5]
    assert len(it.points) == 0


def test_a_batch_without_a_point_has_empty_columns() -> None:
    it = parsed([None, None])
    assert len(it.points) == len(it.stamp) == 0
    assert it.unreadable.tolist() == [0, 1]


def test_of_one_key_the_highest_version_stays_in_whatever_order_they_come() -> None:
    same = [Sent(1, value=float(version), version=version) for version in (3, 5, 4)]
    other = Sent(2, value=9.0, version=1)
    for order in itertools.permutations([*same, other]):
        points = parsed(order).points
        kept = points.some(newest(points))
        assert kept.value.tolist() == [5.0, 9.0]


def test_of_equal_versions_the_first_stays() -> None:
    points = parsed([Sent(1, value=1.0), Sent(1, value=2.0)]).points
    assert points.some(newest(points)).value.tolist() == [1.0]


def test_joined_points_keep_their_names() -> None:
    parts = [
        parsed([Sent(0, "a"), Sent(0, "b")]).points,
        parsed([Sent(1, "b"), Sent(1, "c")], 2).points,
    ]
    it = joined(parts)
    names = it.names.split(b"\n")
    assert [names[number][:1] for number in it.series.tolist()] == [b"a", b"b", b"b", b"c"]
    assert it.offset.tolist() == [0, 1, 2, 3]


def test_narrowed_points_have_only_the_names_they_use() -> None:
    points = parsed([Sent(0, "a"), Sent(0, "b"), Sent(0, "c")]).points
    it = points.some(np.array([2, 0])).narrowed(points.names.split(b"\n"))
    assert it.names == b"a\tmetric\nc\tmetric"
    assert it.series.tolist() == [1, 0]
