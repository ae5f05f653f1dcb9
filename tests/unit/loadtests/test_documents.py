"""The typed client: what it sends, and what it makes of the answers."""

import json

import pytest

from loadtests.documents.client import Document, Documents
from loadtests.documents.ways import ASYNC, SYNC
from loadtests.exchange import Reply, RequestFailed
from loadtests.outcome import Outcome
from tests.unit.loadtests.answering import Answering

WRITTEN = Document(id="run-1", value=2, text="hello")


def documents(status: int, body: object) -> tuple[Documents, Answering]:
    transport = Answering(Reply(status, json.dumps(body).encode(), retry_after="2"))
    return Documents(transport), transport


def test_a_write_sends_the_document_and_is_known_by_the_name_of_its_endpoint():
    client, transport = documents(202, {"ids": ["run-1"]})
    client.write(WRITTEN)
    (sent,) = transport.requests
    assert (sent.name, sent.method, sent.path) == ("POST /api/data", "POST", "/api/data")
    assert json.loads(sent.body or b"") == {"id": "run-1", "value": 2, "text": "hello"}


def test_a_read_is_counted_by_endpoint_and_not_by_id():
    client, transport = documents(200, WRITTEN.model_dump())
    assert client.read("run-1") == WRITTEN
    assert (transport.requests[0].name, transport.requests[0].path) == (
        "GET /api/data/{id}",
        "/api/data/run-1",
    )


def test_the_synchronous_way_has_its_own_path_and_status():
    transport = Answering(Reply(201, b'{"ids": ["run-1"]}'))
    Documents(transport, SYNC).write(WRITTEN)
    assert transport.requests[0].name == "POST /data"
    with pytest.raises(RequestFailed, match=r"^201$"):
        Documents(transport, ASYNC).write(WRITTEN)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(422, Outcome.REFUSED), (503, Outcome.UNKNOWN), (200, Outcome.UNKNOWN)],
)
def test_a_failed_write_says_what_may_have_become_of_it(status: int, outcome: Outcome):
    client, _ = documents(status, {"type": "urn:millrace:problem:some-kind"})
    with pytest.raises(RequestFailed, match=f"^{status} some-kind$") as failed:
        client.write(WRITTEN)
    assert failed.value.outcome is outcome


def test_a_503_that_does_not_say_when_to_come_again_is_told_apart():
    body = b'{"type": "urn:millrace:problem:full"}'
    for reply, told in (
        (Reply(503, body), "^503 full without Retry-After$"),
        (Reply(503, b"<html>"), "^503 without Retry-After$"),
        (Reply(503, body, "5"), "^503 full$"),
    ):
        with pytest.raises(RequestFailed, match=told):
            Documents(Answering(reply)).write(WRITTEN)


def test_an_answer_that_is_no_problem_document_is_named_by_its_status_alone():
    client = Documents(Answering(Reply(502, b"<html>")))
    with pytest.raises(RequestFailed, match=r"^502$"):
        client.read("run-1")


def test_an_acknowledgement_of_other_ids_is_none():
    client, _ = documents(202, {"ids": ["run-2"]})
    with pytest.raises(RequestFailed, match="other ids"):
        client.write(WRITTEN)


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, {}), (200, {"id": "run-1", "value": 1, "text": "hello"})],
)
def test_a_read_back_that_misses_the_last_write_is_called_stale(status: int, body: object):
    client, _ = documents(status, body)
    with pytest.raises(RequestFailed, match=r"^stale read: "):
        client.read_back(WRITTEN)


def test_a_read_back_of_the_right_value_with_another_text_is_a_failure():
    client, _ = documents(200, {"id": "run-1", "value": 2, "text": "other"})
    with pytest.raises(RequestFailed, match="another document"):
        client.read_back(WRITTEN)


def test_a_page_longer_than_asked_for_is_a_failure():
    client, transport = documents(200, {"items": [{}, {}], "next_cursor": None})
    assert len(client.page(limit=2).items) == 2
    with pytest.raises(RequestFailed, match="more documents"):
        client.page(limit=1, cursor="abc")
    assert transport.requests[1].path == "/api/data?limit=1&cursor=abc"


def test_what_is_wrong_with_a_body_is_named_without_its_content():
    client, _ = documents(200, {"id": "secret", "value": "x"})
    with pytest.raises(RequestFailed, match=r"^200 with an unexpected body: value: ") as failed:
        client.read("secret")
    assert "secret" not in str(failed.value)
