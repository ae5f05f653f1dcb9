"""What all tests of traces share."""

from collections.abc import Iterator

import pytest

from tests.harness.traces import Spans, recording


@pytest.fixture
def traces() -> Iterator[Spans]:
    with recording() as spans:
        yield spans
