"""Points over HTTP into a real Kafka."""

import json
from itertools import pairwise

import pytest

from services.ingest_service.telemetry.endpoints import PATH
from tests.integration.ingest_service.telemetry.conftest import (
    LINES,
    MakeTelemetry,
    Telemetry,
    found,
    key,
    keys,
    point,
)
from tests.integration.kafka_container import WORKER, KafkaServer, Reader, headers_of


async def test_what_is_accepted_is_in_the_topic_in_its_order_with_the_requests_ids(
    sending: Telemetry, reader: Reader
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    points = [point(n) for n in range(500)]
    response = await sending.http.post(
        PATH,
        json={"points": points},
        headers={"x-correlation-id": "order-77", "traceparent": trace},
    )
    assert (response.status_code, response.json()) == (202, {"accepted": 500})
    await reader.wait(500)
    there = found(reader)
    assert sorted((one.device_id, one.metric, one.ts) for one in there) == sorted(map(key, points))
    by_version = sorted(there, key=lambda one: one.version)
    assert [one.value for one in by_version] == [float(n) for n in range(500)]
    places: dict[bytes | None, set[int | None]] = {}
    for message in reader.messages:
        headers = headers_of(message)
        assert headers["correlation_id"] == "order-77"
        assert headers["traceparent"].split("-")[1] == trace.split("-")[1]
        places.setdefault(message.key(), set()).add(message.partition())
    assert all(len(partitions) == 1 for partitions in places.values())
    assert len(set.union(*places.values())) > 1
    for device in {one.device_id for one in there}:
        versions = [one.version for one in there if one.device_id == device]
        assert versions == sorted(versions), "a device's points lie in the order of the request"
    assert sending.metric("ingest_points_accepted_total") == 500
    assert sending.metric("ingest_points_waiting") == 0
    assert sending.metric("ingest_producers_total") == 1


async def test_a_single_point_and_lines_are_taken_too(sending: Telemetry, reader: Reader) -> None:
    one = await sending.http.post(PATH, json=point(1))
    assert (one.status_code, one.json()) == (202, {"accepted": 1})
    text = "\n".join(json.dumps(point(n)) for n in range(2, 7))
    lines = await sending.http.post(PATH, content=text, headers=LINES)
    assert (lines.status_code, lines.json()) == (202, {"accepted": 5})
    await reader.wait(6)
    assert keys(reader) == {key(point(n)) for n in range(1, 7)}


async def test_of_one_key_the_later_point_is_the_newer_within_a_request_and_between_requests(
    sending: Telemetry, reader: Reader
) -> None:
    for values in ((1.0, 2.0, 1.0), (7.0,), (3.0,)):
        sent = [point(5, value=value) for value in values]
        assert (await sending.send(*sent)).status_code == 202
    await reader.wait(5)
    by_version = sorted(found(reader), key=lambda one: one.version)
    assert [one.value for one in by_version] == [1.0, 2.0, 1.0, 7.0, 3.0]
    assert all(a.version < b.version for a, b in pairwise(by_version))


async def test_of_a_request_with_a_bad_point_nothing_is_accepted(
    sending: Telemetry, reader: Reader
) -> None:
    bad = point(3, metric="m" * 10_000)
    response = await sending.send(*[point(n) for n in range(400)], bad)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == ["body.points.400.metric"]
    text = json.dumps(point(1)) + "\n" + json.dumps(point(2)).replace("2.0", "NaN")
    response = await sending.http.post(PATH, content=text, headers=LINES)
    assert [error["field"] for error in response.json()["errors"]] == ["line.2.value"]
    assert (await sending.send(point(999))).status_code == 202
    await reader.wait(1)
    assert keys(reader) == {key(point(999))}
    assert sending.metric("ingest_points_refused_total", reason="invalid") == 2


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b"{", "application/json", 400),
        (b"x" * (1024 * 1024 + 1), "application/json", 413),
        (b"[]", "application/json; charset=utf-8", 422),
    ],
)
async def test_a_body_that_is_none_is_a_problem(
    sending: Telemetry, content: bytes, media_type: str, status: int
) -> None:
    headers = {"content-type": media_type}
    response = await sending.http.post(PATH, content=content, headers=headers)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert sending.metric("ingest_producers_total") == 0, "who sends no points costs no producer"


async def test_who_may_not_write_to_the_topic_is_told_that_nothing_was_accepted(
    make_telemetry: MakeTelemetry, kafka_server: KafkaServer
) -> None:
    telemetry = await make_telemetry(kafka=kafka_server.settings(WORKER), seconds=60)
    response = await telemetry.send(point())
    assert response.status_code == 503
    assert response.json()["type"].endswith(":unavailable")
    assert "nothing was accepted" in response.json()["detail"]
