"""Cursors of pages of documents."""

import base64
import re
from datetime import UTC, datetime

import pytest

from services.shared.documents import cursors
from services.shared.documents.cursors import Position
from services.shared.http.problem import ProblemError


@pytest.mark.parametrize("document_id", ["a", "a b", "🌊" * 200])
def test_a_cursor_comes_back_as_the_position_it_was_made_of(document_id: str) -> None:
    position = Position(datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=UTC), document_id)
    text = cursors.encode(position)
    assert cursors.decode(text) == position
    assert re.search(cursors.PATTERN, text)


@pytest.mark.parametrize(
    "text", ["", "é", "1", "1 ", " a", "-1 a", "1 a\n", "9" * 18 + " a", "x a"]
)
def test_a_cursor_that_was_never_given_is_refused(text: str) -> None:
    encoded = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    for given in (text, encoded, "abc", "_" * 1000):
        with pytest.raises(ProblemError):
            cursors.decode(given)
