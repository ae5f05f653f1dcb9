"""Documents: acknowledged, readable at once, and in the constrained database once each."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests.documents.client import Documents
from loadtests.documents.closing import DATABASE, STORE
from loadtests.documents.ways import ASYNC
from loadtests.observers.store import StoreObserver
from loadtests.over_httpx import HttpxTransport, http_client
from loadtests.values import ValueLedger
from tests.e2e.conftest import Say
from tests.e2e.documents import acknowledged, batch, check_books

MOST_FLUSHES = 100  # a second, as Pulumi.airgap.yaml and Pulumi.dev.yaml have it

pytestmark = pytest.mark.usefixtures("settled")


@pytest.fixture
def data(checkout: Checkout) -> Iterator[httpx.Client]:
    """A client for the published port of ingest-service."""
    with http_client(checkout, ASYNC.entry) as client:
        yield client


COMMITS = f"""
    CREATE TABLE IF NOT EXISTS e2e_flushes (n int);
    DO $$ BEGIN
        FOR n IN 1..{3 * MOST_FLUSHES} LOOP INSERT INTO e2e_flushes VALUES (n); COMMIT; END LOOP;
    END $$;
    DROP TABLE e2e_flushes;
"""


def flushes(kube: Kube) -> int:
    return StoreObserver(kube, ASYNC).now().flushes


def test_what_was_acknowledged_is_read_at_once_and_stored_once(
    data: httpx.Client, kube: Kube, prefix: str, say: Say
) -> None:
    documents = Documents(HttpxTransport(data))
    ledger = ValueLedger()
    began, before = time.monotonic(), flushes(kube)
    for number in range(40):
        given = batch(prefix, number, size=250)
        documents.write_all(given)
        acknowledged(ledger, given)
        documents.read_back(given[0])
        documents.read_back(given[-1])
    assert ledger.acknowledged_keys == 10_000
    check_books(kube, prefix, ledger)
    seconds, flushed = time.monotonic() - began, flushes(kube) - before
    say(f"10,000 documents stored in {seconds:.1f} s with {flushed} flushes of the log")
    problem = data.post(
        ASYNC.path, content=b'{"name": "\\u0000"}', headers={"content-type": "application/json"}
    )
    assert problem.status_code == 422
    assert "NUL" in json.dumps(problem.json())


def test_the_constrained_store_flushes_only_so_often(kube: Kube, say: Say) -> None:
    began, before = time.monotonic(), flushes(kube)
    kube.psql(DATABASE, COMMITS, server=STORE)
    seconds, flushed = time.monotonic() - began, flushes(kube) - before
    say(f"{3 * MOST_FLUSHES} commits in a row: {flushed} flushes in {seconds:.1f} s")
    assert flushed >= 2 * MOST_FLUSHES, "the counter shows nothing"
    assert flushed <= 1.1 * MOST_FLUSHES * seconds
