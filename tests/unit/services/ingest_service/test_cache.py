"""The cache in the process, by a clock of the test; and cursors."""

import base64
import re
from datetime import UTC, datetime

import pytest

from services.ingest_service import cursor
from services.ingest_service.cache import LocalCache
from services.ingest_service.store import Position
from services.shared.http.problem import ProblemError


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_document_is_found_behind_its_own_fence_only() -> None:
    cache = LocalCache()
    cache.put("a", b"1-0", b"old")
    assert cache.get("a", b"1-0") == b"old"
    assert cache.get("a", b"2-0") is None
    cache.put("a", b"2-0", b"new")
    assert cache.get("a", b"2-0") == b"new"
    cache.put("a", b"1-0", b"old")  # late; what it replaces is only lost
    assert cache.get("a", b"2-0") is None


def test_a_document_is_forgotten_after_a_while() -> None:
    clock = Clock()
    cache = LocalCache(seconds=5, clock=clock)
    cache.put("a", b"f", b"x")
    clock.now += 4.9
    assert cache.get("a", b"f") == b"x"
    clock.now += 0.1
    assert cache.get("a", b"f") is None


def test_the_least_recently_used_go_first_and_a_large_one_is_not_kept() -> None:
    cache = LocalCache(most_bytes=100_000)
    for name in "abcdef":
        cache.put(name, b"f", b"x" * 1000)
    assert cache.get("a", b"f") is not None
    for number in range(64):
        cache.put(f"n{number}", b"f", b"x" * 1000)
        cache.get("a", b"f")
    assert cache.get("a", b"f") is not None
    assert cache.get("b", b"f") is None
    assert cache.get("n63", b"f") is not None
    cache.put("large", b"f", b"x" * 2000)
    assert cache.get("large", b"f") is None


@pytest.mark.parametrize("document_id", ["a", "a b", "🌊" * 200])
def test_a_cursor_comes_back_as_the_position_it_was_made_of(document_id: str) -> None:
    position = Position(datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=UTC), document_id)
    text = cursor.encode(position)
    assert cursor.decode(text) == position
    assert re.search(cursor.PATTERN, text)


@pytest.mark.parametrize(
    "text", ["", "é", "1", "1 ", " a", "-1 a", "1 a\n", "9" * 18 + " a", "x a"]
)
def test_a_cursor_that_was_never_given_is_refused(text: str) -> None:
    encoded = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    for given in (text, encoded, "abc", "_" * 1000):
        with pytest.raises(ProblemError):
            cursor.decode(given)
