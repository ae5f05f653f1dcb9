"""Documents over httpx."""

from collections.abc import Generator
from contextlib import contextmanager

from bootstrap.checkout import Checkout
from loadtests.documents.client import Documents
from loadtests.documents.ways import ASYNC, Way
from loadtests.over_httpx import HttpxTransport, http_client


@contextmanager
def documents_of(checkout: Checkout, way: Way = ASYNC) -> Generator[Documents]:
    """Documents over the published port of this checkout's platform."""
    with http_client(checkout, way.entry) as http:
        yield Documents(HttpxTransport(http), way)
