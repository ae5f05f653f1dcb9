"""What becomes of a write: its event, with payload and ids, once, in order, and in the logs."""

import json
import secrets
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from infra.model.records import RECORDS
from loadtests import arrivals, traffic
from loadtests.observers.api import total
from loadtests.outcome import Outcome
from loadtests.traffic import RESOURCES
from services.contracts.topics import RESOURCE_CREATED, RESOURCE_DELETED, RESOURCE_UPDATED
from tests.e2e.cluster import pods_of, wait_for
from tests.e2e.conftest import Say
from tests.e2e.streams import OUTBOXES, arrived_in_order, wait_until_sent, write_now


def rows_for(kube: Kube, resource_id: str) -> list[dict[str, object]]:
    """The rows of one resource's own events, by seq. The id comes from our own API."""
    statement = f"""
        SELECT row_to_json(e) FROM (
            SELECT id, event_type, action, aggregate_version, payload, correlation_id
            FROM processed_events
            WHERE resource_id = '{resource_id}' AND {arrivals.OF_RESOURCES} ORDER BY seq) AS e"""
    return list(kube.sql("workerdb", statement))


def test_the_three_events_of_a_resource_carry_its_states_and_the_callers_correlation_id(
    http: httpx.Client, kube: Kube, prefix: str
) -> None:
    given = {"X-Correlation-ID": f"{prefix}-correlation"}
    created = http.post(
        RESOURCES, json={"name": prefix, "description": "first"}, headers=given
    ).json()
    path = f"{RESOURCES}/{created['id']}"
    updated = http.put(path, json={"name": prefix, "status": "archived"}, headers=given).json()
    http.delete(path, headers=given)
    rows = wait_for(
        "three events",
        lambda: found if len(found := rows_for(kube, created["id"])) >= 3 else None,
        seconds=120,
    )
    assert [row["event_type"] for row in rows] == [
        RESOURCE_CREATED, RESOURCE_UPDATED, RESOURCE_DELETED
    ]  # fmt: skip
    assert [row["aggregate_version"] for row in rows] == [1, 2, 3]
    assert {row["correlation_id"] for row in rows} == {f"{prefix}-correlation"}
    assert len({row["id"] for row in rows}) == 3
    fields = ("id", "name", "description", "status", "created_at", "updated_at")
    for row, state in zip(rows, (created, updated), strict=False):
        assert row["payload"] == {key: state[key] for key in fields}
    assert rows[2]["payload"] == {"id": created["id"], "status": "deleted"}


def log_lines(kube: Kube, workload: str) -> list[str]:
    return [
        line
        for pod in pods_of(kube, "apps", workload)
        for line in kube.run("logs", pod["metadata"]["name"], "-n", "apps").splitlines()
    ]


def test_a_refused_request_is_logged_with_the_callers_correlation_id_and_trace(
    http: httpx.Client, kube: Kube
) -> None:
    given = f"e2e-log-{secrets.token_hex(6)}"
    trace_id = secrets.token_hex(16)
    headers = {"X-Correlation-ID": given, "traceparent": f"00-{trace_id}-{'1' * 16}-01"}
    assert http.post(RESOURCES, json={"name": ""}, headers=headers).status_code == 422
    (line,) = wait_for(
        "its log line",
        lambda: [json.loads(line) for line in log_lines(kube, "rest-service") if given in line],
        seconds=60,
    )
    assert (line["correlation_id"], line["trace_id"]) == (given, trace_id)
    assert line["status"] == 422


@pytest.mark.parametrize("workload", RECORDS.service_names)
def test_every_log_line_is_json_with_time_level_and_service(kube: Kube, workload: str) -> None:
    lines = [json.loads(line) for line in log_lines(kube, workload)]
    assert lines
    for line in lines:
        assert {"timestamp", "level", "event", "service"} <= line.keys()
        assert line["service"] == workload


def test_writers_at_once_on_one_resource_give_versions_and_events_without_gap(
    http: httpx.Client, kube: Kube, prefix: str
) -> None:
    path = http.post(RESOURCES, json={"name": prefix}).headers["Location"]

    def update(number: int) -> int:
        answer = http.put(path, json={"name": prefix, "description": str(number)})
        assert answer.status_code == 200
        return answer.json()["version"]

    with ThreadPoolExecutor(8) as pool:
        versions = sorted(pool.map(update, range(40)))
    assert versions == list(range(2, 42))
    resource_id = path.rpartition("/")[2]
    rows = wait_for(
        "41 events",
        lambda: found if len(found := rows_for(kube, resource_id)) >= 41 else None,
        seconds=120,
    )
    assert [row["aggregate_version"] for row in rows] == list(range(1, 42))
    assert http.delete(path).status_code == 204


def duplicates(api: httpx.Client) -> tuple[float, float]:
    """How many messages event-worker, and grpc-service, dropped because they knew them."""
    worker = total(api, "event-worker", "worker_messages_processed_total", outcome="duplicate")
    tasks = total(api, "grpc-service", "tasks_messages_processed_total", outcome="duplicate")
    return worker, tasks


@pytest.mark.timeout(480)
def test_events_that_are_delivered_again_are_absorbed(
    checkout: Checkout, kube: Kube, api: httpx.Client, prefix: str, say: Say
) -> None:
    """The relays promise at-least-once; here they are made to repeat themselves.

    The marks of sent events are taken back in both outboxes, as if each relay had died between
    Kafka's acknowledgement and the mark, every time.
    """
    after = arrivals.last_seq(kube)
    ledger = write_now(checkout, traffic.Stream(prefix, resources=20))
    assert ledger.counts()[Outcome.ACKED] == 100
    _, once = arrived_in_order(kube, ledger, prefix, after, seconds=60, say=say)
    wait_until_sent(kube, seconds=120)
    before = duplicates(api)
    resources = ", ".join(f"'{one}'" for one in {row.resource_id for row in once})
    for database in OUTBOXES:
        again = f"UPDATE outbox_events SET processed_at = NULL WHERE aggregate_id IN ({resources});"
        kube.psql(database, again)
    wait_until_sent(kube, seconds=60)
    # A fresh resource's events travel the same partitions behind the repeats.
    marker_ledger = write_now(checkout, traffic.Stream(f"{prefix}x", resources=60, updates=1))
    arrived_in_order(kube, marker_ledger, f"{prefix}x", after, seconds=60, say=say)
    _, twice = arrived_in_order(kube, ledger, prefix, after, seconds=5, say=say)
    assert twice == once
    worker, tasks = (now - then for now, then in zip(duplicates(api), before, strict=True))
    assert worker >= 300, "the worker says that it saw fewer repeats than were sent"
    assert tasks >= 100, "grpc-service says that it saw fewer repeats than were sent"
    say(f"300 events published twice, each with one effect: {worker:.0f} duplicates dropped by the"
        f" worker, {tasks:.0f} by grpc-service")  # fmt: skip
