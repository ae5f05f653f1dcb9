"""Points over httpx."""

from collections.abc import Generator
from contextlib import contextmanager

from bootstrap.checkout import Checkout
from loadtests.over_httpx import HttpxTransport, http_client
from loadtests.telemetry.client import ENTRY, Telemetry


@contextmanager
def telemetry_of(checkout: Checkout) -> Generator[Telemetry]:
    """Points over the published port of this checkout's platform."""
    with http_client(checkout, ENTRY) as http:
        yield Telemetry(HttpxTransport(http))
