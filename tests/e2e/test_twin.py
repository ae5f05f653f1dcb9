"""Documents that rest-service stores within the request, on the constrained store."""

import threading
from collections.abc import Iterator

import httpx
import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests.traffic import base_url
from tests.e2e.cluster import kill_minus_9, pods_of, replace_restarted, wait_for, wait_for_restart
from tests.e2e.conftest import Say

DATA = "/data"
STORE = "data-store"

pytestmark = pytest.mark.usefixtures("settled")


@pytest.fixture
def http(checkout: Checkout) -> Iterator[httpx.Client]:
    """A client for the published port of rest-service."""
    with httpx.Client(base_url=base_url(checkout, "http"), timeout=15, trust_env=False) as client:
        yield client


def stored(kube: Kube, prefix: str) -> dict[str, int]:
    """Version by id, of all documents of a run that were stored within the request."""
    statement = f"""
        SELECT json_build_array(id, (document ->> 'version')::int) FROM synchronous_documents
        WHERE id LIKE '{prefix}-%'"""
    return dict(kube.sql("datadb", statement, server=STORE))


def test_a_document_is_in_the_database_with_the_answer_and_apart_from_those_of_the_stream(
    http: httpx.Client, kube: Kube, prefix: str
) -> None:
    for version in (1, 2):
        given = [{"id": f"{prefix}-{n}", "version": version} for n in range(500)]
        answer = http.post(DATA, json=given)
        assert answer.status_code == 201, answer.text[:500]
        assert answer.json()["ids"] == [document["id"] for document in given]
        assert stored(kube, prefix) == {document["id"]: version for document in given}
        for _ in range(2):  # from the database, and from the cache
            assert http.get(f"{DATA}/{prefix}-7").json() == given[7]
    listed = http.get(DATA, params={"limit": 1}).json()
    assert len(listed["items"]) == 1
    assert listed["next_cursor"]
    in_stream = f"SELECT count(*) FROM documents WHERE id LIKE '{prefix}-%'"
    assert list(kube.sql("datadb", in_stream, server=STORE)) == [0]


def test_a_document_that_cannot_be_stored_is_refused_with_the_field(http: httpx.Client) -> None:
    answer = http.post(DATA, json=[{}, {"name": "\0"}])
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["body.1.name"]


@pytest.mark.timeout(300)
def test_kill_9_of_the_store_loses_no_stored_document_and_leaves_resources_alone(
    checkout: Checkout, http: httpx.Client, kube: Kube, prefix: str, say: Say
) -> None:
    replace_restarted(kube, ("data", STORE))
    stop, acknowledged = threading.Event(), dict[str, int]()

    def write() -> None:
        with httpx.Client(base_url=base_url(checkout, "http"), timeout=15, trust_env=False) as own:
            number = 0
            while not stop.is_set():
                document = {"id": f"{prefix}-{number % 50}", "version": number}
                try:
                    if own.post(DATA, json=document).status_code == 201:
                        acknowledged[str(document["id"])] = number
                except httpx.TransportError:
                    pass
                number += 1

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        wait_for("documents", lambda: len(acknowledged) == 50, seconds=60)
        [pod] = pods_of(kube, "data", STORE)
        kill_minus_9(kube, pod)
        assert http.post("/api/v1/resources", json={"name": prefix}).status_code == 201
        wait_for_restart(kube, "data", pod, seconds=60)
        newest = max(acknowledged.values())
        wait_for("more", lambda: max(acknowledged.values()) > newest + 50, seconds=60)
    finally:
        stop.set()
        thread.join(timeout=60)
    # What had no answer may be there too: the last of an id is what was acknowledged, or newer.
    found = stored(kube, prefix)
    assert {id for id, version in acknowledged.items() if found.get(id, -1) < version} == set()
    say(f"{max(acknowledged.values()) + 1} documents sent, every stored one is there")
