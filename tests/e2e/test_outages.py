"""A server is away for a while: what users see meanwhile, and that everything arrives later."""

import time
from collections import Counter

import httpx
import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests import arrivals, traffic
from loadtests.documents.ways import ASYNC
from loadtests.outcome import Outcome
from loadtests.over_httpx import http_client
from loadtests.telemetry.client import ENTRY, PATH
from loadtests.tokens import Tokens
from tests.e2e.cluster import away, patiently, pods_of, restarts, wait_for
from tests.e2e.conftest import Say
from tests.e2e.inside import post_inside
from tests.e2e.streams import arrived_in_order, background, unsent_events, write_now

pytestmark = pytest.mark.usefixtures("settled")

ON_THE_WAY = ("rest-service", "outbox-relay-rest", "grpc-service", "outbox-relay-grpc")
SLOWEST_ANSWER = 10.0
"""Seconds for a request while a server that it can do without is away: nobody waits for that one,
but a machine with much else to do stands still for moments."""


@pytest.mark.timeout(420)
def test_without_kafka_requests_succeed_and_events_arrive_later_in_order(
    checkout: Checkout, kube: Kube, http: httpx.Client, prefix: str, say: Say
) -> None:
    after = arrivals.last_seq(kube)
    before = {name: restarts(kube, "apps", name) for name in ON_THE_WAY}
    with away(kube, "data", "kafka"):
        say("kafka is away")
        # No deletes: unsent() finds events by their resources.
        ledger = write_now(checkout, traffic.Stream(prefix, 40, updates=4, delete=False))
        assert ledger.counts()[Outcome.ACKED] == 200
        slowest = max(w.answered_at - w.sent_at for w in ledger.writes if w.answered_at)
        assert slowest < SLOWEST_ANSWER
        say(f"200 of 200 writes acknowledged without it, the slowest in {1000 * slowest:.0f} ms")
        assert unsent_events(kube, prefix) == 200
        assert http.get("/ready").status_code == 200
        assert arrivals.rows_of(kube, prefix, after) == []
        points_are_refused_and_documents_are_not(checkout, prefix)
        say("points answer 503, documents are taken")
    back = time.time()
    say("kafka is ready again")
    wait_for("the outbox to be drained", lambda: unsent_events(kube, prefix) == 0, seconds=120)
    say(f"the outbox is drained {time.time() - back:.1f} s later")
    _, rows = arrived_in_order(kube, ledger, prefix, after, seconds=120, say=say)
    first, last = min(r.processed_at for r in rows), max(r.processed_at for r in rows)
    say(f"events arrived {first - back:+.1f} s to {last - back:+.1f} s from its readiness")
    now = {name: restarts(kube, "apps", name) for name in before}
    assert now == before, "a pod was restarted because Kafka was away"


def points_are_refused_and_documents_are_not(checkout: Checkout, prefix: str) -> None:
    """Of one service, which both come through."""
    point = {"device_id": prefix, "metric": "level", "ts": "2026-11-22T20:00:00Z", "value": 1}
    with http_client(checkout, ENTRY) as ingest:
        answer = ingest.post(PATH, json=point)
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["content-type"].startswith("application/problem+json")
        document = {"id": prefix, "value": 1}
        assert patiently(lambda: ingest.post(ASYNC.path, json=document)).status_code == 202
        asked = {"device_id": prefix}
        assert patiently(lambda: ingest.get(PATH, params=asked)).status_code == 200


@pytest.mark.timeout(420)
def test_without_postgres_writes_answer_503_with_retry_after_and_recover_by_themselves(
    checkout: Checkout,
    kube: Kube,
    http: httpx.Client,
    api: httpx.Client,
    registered: Tokens,
    prefix: str,
    say: Say,
) -> None:
    after = arrivals.last_seq(kube)
    before = restarts(kube, "apps", "rest-service")
    pod = pods_of(kube, "apps", "rest-service")[0]["metadata"]["name"]
    # Unready pods leave the Service, so the published port has nobody behind it in the end; the
    # API server's proxy, which hands on no tokens, and the pod itself show what it answers then.
    inside = f"/api/v1/namespaces/apps/pods/{pod}:8080/proxy"
    # Slow, so that it lasts through the outage and beyond.
    stream = traffic.Stream(prefix, 250, updates=1, delete=False, concurrency=4, per_second=20)
    with background(checkout, stream) as running:
        running.wait_for_answers(30, seconds=60)
        with away(kube, "data", "postgres"):
            say("postgres is away")
            given = [_body(prefix, number) for number in range(5)]
            answers = post_inside(kube, pod, traffic.RESOURCES, given, registered.header())
            for answer in answers:
                assert answer.status == 503, answer
                assert int(answer.headers["retry-after"]) >= 1
                assert answer.headers["content-type"].startswith("application/problem+json")
            say(f"writes answer 503, Retry-After {answers[0].headers['retry-after']} s")
            assert api.get(f"{inside}/health").status_code == 200
            wait_for("/ready to fail", lambda: api.get(f"{inside}/ready").status_code == 503,
                     seconds=30)  # fmt: skip
            say("/health answers 200, /ready 503")
            published = Counter(_published(http, prefix, number) for number in range(5))
            assert set(published) <= {"503", "ConnectError"}, published
            say(f"the published port meanwhile: {dict(published)}")
    back = time.monotonic()
    wait_for("writes to succeed again", lambda: _created(http, prefix), seconds=60)
    say(f"writes succeed again {time.monotonic() - back:.1f} s after postgres was ready")
    statuses = Counter(write.answer.split(":")[0] for write in running.ledger.writes)
    say(f"answers to the stream around it: {dict(statuses)}")
    assert not {"500", "502", "504"} & set(statuses), statuses
    arrived_in_order(kube, running.ledger, prefix, after, seconds=120, say=say)
    assert restarts(kube, "apps", "rest-service") == before, "liveness must not need the database"


def _body(prefix: str, number: int) -> dict[str, str]:
    # Another prefix than the stream's: these writes are in no ledger.
    return {"name": f"away-{prefix}-{number}", "description": "while postgres is away"}


def _post(http: httpx.Client, prefix: str, number: int) -> httpx.Response:
    body = _body(prefix, number)
    return http.post(traffic.RESOURCES, json=body)


def _published(http: httpx.Client, prefix: str, number: int) -> str:
    try:
        return str(_post(http, prefix, number).status_code)
    except httpx.TransportError as error:
        return type(error).__name__


def _created(http: httpx.Client, prefix: str) -> bool:
    return _published(http, prefix, 99) == "201"


@pytest.mark.timeout(300)
def test_without_redis_reads_are_served_from_postgres_and_nothing_stale_remains(
    kube: Kube, http: httpx.Client, prefix: str, say: Say
) -> None:
    created = http.post(traffic.RESOURCES, json={"name": f"{prefix}-1", "description": "one"})
    path = f"{traffic.RESOURCES}/{created.json()['id']}"
    assert http.get(path).json()["description"] == "one"  # now cached
    taken: list[float] = []
    with away(kube, "data", "redis-cache"):
        say("redis is away")
        for _ in range(20):
            since = time.monotonic()
            assert http.get(path).json()["description"] == "one"
            taken.append(time.monotonic() - since)
        body = {"name": f"{prefix}-1", "description": "two", "status": "active"}
        assert http.put(path, json=body).status_code == 200
        assert http.get(path).json()["description"] == "two"
        assert http.get("/ready").status_code == 200, "readiness must not need the cache"
        assert max(taken) < SLOWEST_ANSWER
        say(f"20 of 20 reads served without it, the slowest in {1000 * max(taken):.0f} ms")
    for _ in range(20):
        assert http.get(path).json()["description"] == "two"
    assert http.delete(path).status_code == 204
    for _ in range(5):
        assert http.get(path).status_code == 404
