from __future__ import annotations

import json

import pytest

from services.cpu_writer.progress import Progress, UnknownMetadataError, resumed

WINDOW = 60_000_000


def test_what_is_committed_is_read_back() -> None:
    progress = Progress(17, 40, 10 * WINDOW, WINDOW)
    assert resumed(17, progress.metadata(), WINDOW) == progress


def test_metadata_is_far_smaller_than_what_kafka_takes() -> None:
    assert len(Progress(2**62, 2**62, 2**62, 2**40).metadata()) < 200


def test_an_offset_without_metadata_has_nothing_behind_it() -> None:
    assert resumed(17, "", WINDOW) == Progress(17, 17, 0, WINDOW)


GOOD = {"v": 1, "seen": 40, "closed": 0, "window": WINDOW}


@pytest.mark.parametrize(
    "metadata",
    [
        "garbage",
        "{",
        "[" * 10_000,
        "[]",
        "null",
        json.dumps(GOOD | {"v": 2}),
        json.dumps({"v": 1}),
        json.dumps(GOOD | {"seen": 16}),
        json.dumps(GOOD | {"seen": "40"}),
        json.dumps(GOOD | {"seen": True}),
        json.dumps(GOOD | {"closed": -1}),
        json.dumps(GOOD | {"closed": 1.5}),
        json.dumps(GOOD | {"closed": 2**63}),
        json.dumps(GOOD | {"window": None}),
    ],
)
def test_damaged_metadata_is_refused_with_a_reason(metadata: str) -> None:
    with pytest.raises(UnknownMetadataError):
        resumed(17, metadata, WINDOW)


def test_windows_of_another_length_begin_when_all_the_old_ones_are_closed() -> None:
    metadata = Progress(17, 40, 90 * 1_000_000, 30_000_000).metadata()
    assert resumed(17, metadata, WINDOW) == Progress(17, 40, 2 * WINDOW, WINDOW)
