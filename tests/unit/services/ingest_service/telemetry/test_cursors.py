"""Cursors of points and rollups."""

import re
from datetime import UTC, datetime

import pytest

from services.contracts.telemetry import EARLIEST, LATEST
from services.ingest_service.telemetry.cursors import PATTERN, Position, decode, encode
from services.shared.http.problem import ProblemError
from services.shared.runtime.cursors import seal


@pytest.mark.parametrize(
    "position",
    [
        Position("flow", datetime(2026, 11, 22, 21, 0, 0, 123456, UTC)),
        Position("_m._:/-" + "9" * 93, EARLIEST, 2**32 - 1),
        Position("a", LATEST, 60),
    ],
)
def test_a_position_comes_back_as_it_was(position: Position) -> None:
    cursor = encode(position)
    assert decode(cursor) == position
    assert re.match(PATTERN, cursor)


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "abc", "%%%%", "A" * 5000),
        *map(seal, ("", "1 0", "1 0 a b", "1 0 é", "-1 0 a", "1 -0 a", "x 0 a", "1 x a")),
        *map(seal, ("999999999999999999 0 a", "9" * 30 + " 0 a", "1 4294967296 a", "¹ 0 a")),
        seal("1 0 " + "m" * 101),
    ],
)
def test_what_was_never_given_out_is_refused(cursor: str) -> None:
    with pytest.raises(ProblemError) as error:
        decode(cursor)
    assert (error.value.status, error.value.kind) == (422, "bad-cursor")
