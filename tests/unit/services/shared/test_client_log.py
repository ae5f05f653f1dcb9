"""How much a Kafka client may say."""

from __future__ import annotations

import logging

import pytest
from confluent_kafka import KafkaError

from services.shared.kafka.client_log import with_log

FAILED = "FAIL [worker#consumer-1] [thrd:ssl://%s]: Connection refused (after %d ms)"


def test_a_client_that_cannot_connect_says_so_once_per_broker_and_not_at_every_attempt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = with_log({})["logger"]
    for attempt in range(50):
        for broker in ("kafka-0", "kafka-1"):
            logger.error(FAILED, broker, attempt)
    assert [record.args for record in caplog.records] == [("kafka-0", 0), ("kafka-1", 0)]
    logger.critical("FATAL [worker#consumer-1] [thrd:main]: fenced")
    logger.critical("FATAL [worker#consumer-1] [thrd:main]: fenced")
    assert [record.levelno for record in caplog.records[2:]] == [logging.CRITICAL] * 2


def test_a_client_that_broke_or_was_refused_has_to_be_replaced() -> None:
    told: list[bool] = []
    report = with_log({}, lambda: told.append(True))["error_cb"]
    report(KafkaError(KafkaError._TRANSPORT))
    assert not told
    report(KafkaError(KafkaError._FATAL, fatal=True))
    report(KafkaError(KafkaError._AUTHENTICATION))
    assert len(told) == 2
