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
from loadtests.documents.over_httpx import HttpxTransport, http_client
from loadtests.documents.ways import ASYNC
from tests.e2e.cluster import kill_minus_9, pods_of, replace_restarted, wait_for, wait_for_restart
from tests.e2e.conftest import Say
from tests.e2e.documents import Writer, batch, check_all_stored, stored

MOST_FLUSHES = 100  # a second, as Pulumi.airgap.yaml and Pulumi.dev.yaml have it

pytestmark = pytest.mark.usefixtures("settled")


@pytest.fixture
def data(checkout: Checkout) -> Iterator[httpx.Client]:
    """A client for the published port of ingest-service."""
    with http_client(checkout) as client:
        yield client


COMMITS = f"""
    CREATE TABLE IF NOT EXISTS e2e_flushes (n int);
    DO $$ BEGIN
        FOR n IN 1..{3 * MOST_FLUSHES} LOOP INSERT INTO e2e_flushes VALUES (n); COMMIT; END LOOP;
    END $$;
    DROP TABLE e2e_flushes;
"""


def flushes(kube: Kube) -> int:
    (count,) = kube.sql(DATABASE, "SELECT wal_sync FROM pg_stat_wal", server=STORE)
    return int(count)


def test_what_was_acknowledged_is_read_at_once_and_stored_once(
    data: httpx.Client, kube: Kube, prefix: str, say: Say
) -> None:
    documents = Documents(HttpxTransport(data))
    began, before = time.monotonic(), flushes(kube)
    for number in range(40):
        given = batch(prefix, number, size=250)
        documents.write_all(given)
        documents.read_back(given[0])
        documents.read_back(given[-1])
    wait_for("10,000 documents", lambda: len(stored(kube, prefix)) == 10_000, seconds=60)
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


@pytest.mark.timeout(300)
def test_kill_9_of_the_writers_the_stream_and_the_store_loses_no_acknowledged_document(
    checkout: Checkout, kube: Kube, prefix: str, say: Say
) -> None:
    victims = (("apps", "stream-writer"), ("data", "redis-stream"), ("data", STORE))
    replace_restarted(kube, *victims)
    with Writer(checkout, prefix) as writer:
        for namespace, workload in victims:
            here = len(writer.acknowledged)
            wait_for(
                "documents", lambda here=here: len(writer.acknowledged) > here + 500, seconds=60
            )
            killed = pods_of(kube, namespace, workload)
            at = min(kill_minus_9(kube, pod) for pod in killed)
            back = max(wait_for_restart(kube, namespace, pod, seconds=60) for pod in killed)
            say(f"kill -9 of {workload}: ready after {back - at:.1f} s")
        here = len(writer.acknowledged)
        wait_for("documents", lambda: len(writer.acknowledged) > here + 500, seconds=60)
    acknowledged = writer.acknowledged
    say(f"{len(acknowledged)} documents acknowledged, {writer.refused} batches refused meanwhile")
    check_all_stored(kube, prefix, acknowledged)
    say("every acknowledged document is stored with its last value")
