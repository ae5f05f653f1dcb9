"""One trace of each path, from a client's own span to the last row, as the trace store has it."""

from collections.abc import Iterator

import httpx
import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests.over_httpx import http_client
from tests.e2e.conftest import Say
from tests.e2e.traced import (
    Jaeger,
    Send,
    jaeger_of,
    send_document,
    send_point,
    send_resource,
    whole_trace,
)
from tests.harness.span_trees import Path
from tests.harness.whole_paths import DOCUMENT, POINT, TASK

SECONDS = 45.0
"""For a trace to be whole: services send every 5 s, and the collector waits for those that are
late before it decides."""
WINDOW_SECONDS = 240.0
"""A rollup's, which is written when its window is over by the clock."""

pytestmark = pytest.mark.usefixtures("settled")


@pytest.fixture(scope="module")
def jaeger(kube: Kube) -> Iterator[Jaeger]:
    with jaeger_of(kube) as found:
        yield found


@pytest.fixture
def ways(checkout: Checkout, registered: object) -> Iterator[dict[str, httpx.Client]]:
    """A client of each entry."""
    with http_client(checkout, "http") as rest, http_client(checkout, "data") as ingest:
        yield {"http": rest, "data": ingest}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("path", "entry", "send", "seconds"),
    [
        pytest.param(TASK, "http", send_resource, SECONDS, id="resource"),
        pytest.param(DOCUMENT, "data", send_document, SECONDS, id="document"),
        pytest.param(POINT, "data", send_point, WINDOW_SECONDS, id="point"),
    ],
)
def test_a_path_is_one_trace_from_the_client_to_the_last_row(
    jaeger: Jaeger,
    ways: dict[str, httpx.Client],
    say: Say,
    path: Path,
    entry: str,
    send: Send,
    seconds: float,
) -> None:
    whole_trace(jaeger, ways[entry], path, send, seconds, say)
