"""Kafka client settings and the classes of errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, Producer

from services.shared.kafka.clients import (
    consumer_config,
    is_environment,
    is_permanent,
    is_producer_lost,
    is_topic,
    producer_config,
)
from services.shared.runtime.settings import KafkaSettings, SettingsError


@pytest.fixture
def settings(tmp_path: Path) -> KafkaSettings:
    password, ca, mechanism = (tmp_path / name for name in ("password", "ca.crt", "mechanism"))
    password.write_text("secret\n")
    mechanism.write_text("SCRAM-SHA-512")
    ca.write_text("")
    return KafkaSettings(
        bootstrap_servers="kafka:9092",
        username="u",
        password_file=password,
        mechanism_file=mechanism,
        ca_file=ca,
    )


def test_producers_keep_order_wait_for_all_replicas_and_hash_like_java(
    settings: KafkaSettings,
) -> None:
    config = producer_config(settings, "c", message_timeout_ms=4000)
    assert config["acks"] == "all"
    assert config["enable.idempotence"] is True
    assert config["partitioner"] == "murmur2_random"
    assert config["message.timeout.ms"] == 4000
    assert config["batch.size"] * 2 < config["message.max.bytes"]


def test_consumers_commit_only_by_hand_and_start_at_the_oldest(settings: KafkaSettings) -> None:
    config = consumer_config(
        settings, "c", group_id="g", group_instance_id="pod-1", session_timeout_ms=15000
    )
    assert config["enable.auto.commit"] is False
    assert config["auto.offset.reset"] == "earliest"
    assert config["group.instance.id"] == "pod-1"


def test_without_an_instance_name_membership_is_not_static(settings: KafkaSettings) -> None:
    config = consumer_config(
        settings, "c", group_id="g", group_instance_id=None, session_timeout_ms=15000
    )
    assert "group.instance.id" not in config


def test_every_connection_is_encrypted_verified_and_authenticated(settings: KafkaSettings) -> None:
    config = producer_config(settings, "c", message_timeout_ms=4000)
    assert config["security.protocol"] == "SASL_SSL"
    assert config["sasl.mechanism"] == "SCRAM-SHA-512"
    assert config["ssl.endpoint.identification.algorithm"] == "https"
    assert config["sasl.password"] == "secret"


def test_the_mechanism_is_the_one_beside_the_password(settings: KafkaSettings) -> None:
    settings.mechanism_file.write_text("SCRAM-SHA-256\n")
    config = producer_config(settings, "c", message_timeout_ms=4000)
    assert config["sasl.mechanism"] == "SCRAM-SHA-256"
    settings.mechanism_file.write_text("PLAIN")
    with pytest.raises(SettingsError, match="is none of SCRAM-SHA-512 and SCRAM-SHA-256; mount"):
        producer_config(settings, "c", message_timeout_ms=4000)


def test_librdkafka_knows_every_setting(settings: KafkaSettings) -> None:
    del_ca = {"ssl.ca.location": None}
    for made in (
        producer_config(settings, "c", message_timeout_ms=4000),
        consumer_config(
            settings, "c", group_id="g", group_instance_id="i", session_timeout_ms=15000
        ),
    ):
        config = {k: v for k, v in made.items() if k not in del_ca} | {"bootstrap.servers": ""}
        client = Consumer(config) if "group.id" in config else Producer(config)
        if isinstance(client, Consumer):
            client.close()


@pytest.mark.parametrize(
    ("code", "environment", "permanent", "lost"),
    [
        (KafkaError._MSG_TIMED_OUT, True, False, False),
        (KafkaError._TRANSPORT, True, False, False),
        (KafkaError.NOT_ENOUGH_REPLICAS, True, False, False),
        (KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, True, False, True),
        (KafkaError._FATAL, True, False, True),
        (KafkaError.MSG_SIZE_TOO_LARGE, False, True, False),
        (KafkaError.INVALID_RECORD, False, True, False),
    ],
)
def test_errors_are_sorted_by_who_is_to_blame(
    code: int, environment: bool, permanent: bool, lost: bool
) -> None:
    error = KafkaError(code)
    assert (is_environment(error), is_permanent(error), is_producer_lost(error)) == (
        environment,
        permanent,
        lost,
    )


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
    ],
)
def test_a_missing_topic_blames_neither_the_message_nor_the_whole_cluster(code: int) -> None:
    error = KafkaError(code)
    assert is_topic(error)
    assert not is_environment(error)
    assert not is_permanent(error)
    assert not is_producer_lost(error)
