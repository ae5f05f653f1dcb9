"""Documents that rest-service stores within the request, on the constrained store."""

from collections.abc import Iterator

import httpx
import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests.documents import closing
from loadtests.documents.client import Documents
from loadtests.documents.closing import STORE
from loadtests.documents.ways import ASYNC, SYNC
from loadtests.over_httpx import HttpxTransport, http_client
from loadtests.traffic import RESOURCES
from loadtests.values import ValueLedger
from tests.e2e.cluster import kill_minus_9, pods_of, replace_restarted, wait_for, wait_for_restart
from tests.e2e.conftest import Say
from tests.e2e.documents import Writer, acknowledged, batch, check_books

pytestmark = pytest.mark.usefixtures("settled")


@pytest.fixture
def http(checkout: Checkout) -> Iterator[httpx.Client]:
    """A client for the published port of rest-service."""
    with http_client(checkout, SYNC.entry) as client:
        yield client


def test_a_document_is_in_the_database_with_the_answer_and_apart_from_those_of_the_stream(
    http: httpx.Client, kube: Kube, prefix: str
) -> None:
    documents, ledger = Documents(HttpxTransport(http), SYNC), ValueLedger()
    for value in (1, 2):
        given = batch(prefix, 0, value, size=500)
        documents.write_all(given)
        acknowledged(ledger, given)
        check_books(kube, prefix, ledger, SYNC, within=0)
        for _ in range(2):  # from the database, and from the cache
            documents.read_back(given[7])
    listed = documents.page(limit=1)
    assert len(listed.items) == 1
    assert listed.next_cursor
    assert closing.compare(kube, prefix, ValueLedger(), ASYNC).balanced, "some are there, too"


def test_a_document_that_cannot_be_stored_is_refused_with_the_field(http: httpx.Client) -> None:
    answer = http.post(SYNC.path, json=[{}, {"name": "\0"}])
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["body.1.name"]


@pytest.mark.timeout(420)
def test_kill_9_of_the_store_loses_no_stored_document_and_leaves_resources_alone(
    checkout: Checkout, http: httpx.Client, kube: Kube, prefix: str, say: Say
) -> None:
    replace_restarted(kube, ("data", STORE))
    with Writer(checkout, prefix, way=SYNC, size=1) as writer:
        wait_for("documents", lambda: writer.writes >= 50, seconds=60)
        [pod] = pods_of(kube, "data", STORE)
        kill_minus_9(kube, pod)
        assert http.post(RESOURCES, json={"name": prefix}).status_code == 201
        wait_for_restart(kube, "data", pod, seconds=150)
        before = writer.writes
        wait_for("more", lambda: writer.writes > before + 50, seconds=60)
    writer.check_books(kube)
    say(f"{writer.writes} writes acknowledged, {writer.refused} sent again; every one is stored")
