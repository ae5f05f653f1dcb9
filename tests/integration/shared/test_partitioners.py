"""Both clients put a key on the same partition: points of a device stay in the order of one."""

from __future__ import annotations

import random

from aiokafka import AIOKafkaProducer
from confluent_kafka import KafkaError, Message

from services.contracts.topics import TELEMETRY_POINTS
from services.shared.kafka.clients import sasl_mechanism
from services.shared.runtime.databases import tls_context
from services.shared.runtime.settings import read_secret
from tests.integration.kafka_container import PARTITIONS, SEND_SECONDS, KafkaServer


def keys() -> list[bytes]:
    """Device ids of every length, text of other scripts, and bytes that are no text at all."""
    made = random.Random(9)
    texts = ["Gerät-ü", "устройство", "装置", "📡", "\0", "a" * 1000]
    return [
        *(f"device-{n}".encode() for n in range(1000)),
        *(text.encode() for text in texts),
        *(bytes([n]) for n in range(256)),
        *(made.randbytes(length) for length in range(1, 65) for _ in range(10)),
    ]


async def test_aiokafka_and_librdkafka_agree_on_the_partition_of_every_key(
    kafka_server: KafkaServer,
) -> None:
    by_librdkafka: dict[bytes | None, int | None] = {}

    def note(error: KafkaError | None, message: Message) -> None:
        assert error is None, error
        by_librdkafka[message.key()] = message.partition()

    producer = kafka_server.producer()
    for key in keys():
        producer.produce(TELEMETRY_POINTS, key=key, on_delivery=note)
    assert producer.flush(2 * SEND_SECONDS) == 0
    settings = kafka_server.settings()
    other = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        security_protocol="SASL_SSL",
        ssl_context=tls_context(str(settings.ca_file)),
        sasl_mechanism=sasl_mechanism(settings),
        sasl_plain_username=settings.username,
        sasl_plain_password=read_secret(settings.password_file),
        acks="all",
    )
    await other.start()
    try:
        sent = [(key, await other.send(TELEMETRY_POINTS, key=key)) for key in keys()]
        by_aiokafka = {key: (await place).partition for key, place in sent}
    finally:
        await other.stop()
    assert by_aiokafka == by_librdkafka
    assert set(by_aiokafka.values()) == set(range(PARTITIONS))
