"""Kafka as the cluster runs it: KRaft, the component's own server.properties, TLS and SCRAM."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from cryptography.hazmat.primitives import serialization

from components.kit import paths
from components.servers.kafka import config as kafka_config
from services.contracts.topics import (
    DEAD_LETTER,
    RESOURCE_EVENTS,
    TASK_EVENTS,
    TELEMETRY_DEAD_LETTER,
    TELEMETRY_POINTS,
)
from services.provision import kafka as provisioner
from services.provision.spec import KafkaSpec, TopicSpec, UserSpec
from services.shared.kafka.clients import consumer_config, producer_config
from services.shared.runtime.settings import KafkaSettings
from tests.integration.authority import Authority
from tests.integration.containers import Container, Containers, File
from tests.integration.ports import free_port

KAFKA_UID = 10002
TOPICS = (*RESOURCE_EVENTS, *TASK_EVENTS)
SMALL = "small.messages"
"""A topic that takes no message above 2,000 bytes."""
PARTITIONS = 6
EVERYTHING = (*TOPICS, DEAD_LETTER, SMALL, TELEMETRY_POINTS, TELEMETRY_DEAD_LETTER)
RELAY, WORKER, TESTER = "outbox-relay-rest", "event-worker", "tester"
INGEST, ASYNC_WRITER, CPU_WRITER = "ingest-service", "async-writer", "cpu-writer"
GROUPS = [f"event-worker-{n}" for n in range(1, 60)]

T = TypeVar("T")
_ANSWER_SECONDS: Final = 60
"""For what a test asks a broker itself."""
SEND_SECONDS: Final = 60
"""For a message of a test's own to arrive, also at a broker that was started a moment ago."""

_groups = itertools.cycle(GROUPS)


@dataclass
class KafkaServer:
    """A broker, its administrator's files, and a password file for each user."""

    container: Container
    authority: Authority
    client_port: int
    internal_port: int
    certificate_file: Path
    key_file: Path
    passwords: dict[str, Path] = field(default_factory=dict[str, Path])

    def settings(self, user: str = TESTER) -> KafkaSettings:
        return KafkaSettings(
            bootstrap_servers=f"localhost:{self.client_port}",
            username=user,
            password_file=self.passwords[user],
            mechanism_file=self.mechanism(user),
            ca_file=self.authority.ca_file,
        )

    def mechanism(self, user: str, name: str = "SCRAM-SHA-512") -> Path:
        """The file beside the password."""
        path = self.passwords[user].with_suffix(".mechanism")
        # Not written anew: who reads it just then would find it empty.
        if not path.exists() or path.read_text() != name:
            path.write_text(name)
        return path

    def spec(self, topics: Sequence[TopicSpec] = (), users: Sequence[UserSpec] = ()) -> KafkaSpec:
        """The platform's users are in every one: whom a spec leaves out is removed."""
        named = {user.name: user for user in (*self._platform_users(), *users)}
        return KafkaSpec(
            bootstrap_servers=f"localhost:{self.internal_port}",
            client_servers=f"localhost:{self.client_port}",
            ca_file=self.authority.ca_file,
            certificate_file=self.certificate_file,
            key_file=self.key_file,
            topics=list(topics),
            users=list(named.values()),
        )

    def user(self, name: str, **rights: Any) -> UserSpec:
        """A user of that name, with a password file made on first mention."""
        if name not in self.passwords:
            self.passwords[name] = self.authority.secret(f"kafka-{name}")
        return UserSpec(name=name, password_file=self.passwords[name], **rights)

    def _platform_users(self) -> list[UserSpec]:
        """Those of the services, and one that may do what tests need."""
        everything, points = list(EVERYTHING), [TELEMETRY_POINTS]
        return [
            self.user(RELAY, produce=[*TOPICS, SMALL]),
            self.user(WORKER, produce=[DEAD_LETTER], consume=list(TOPICS), groups=GROUPS),
            self.user(INGEST, produce=points),
            self.user(ASYNC_WRITER, produce=[TELEMETRY_DEAD_LETTER], consume=points, groups=GROUPS),
            self.user(CPU_WRITER, consume=points, groups=GROUPS),
            self.user(TESTER, produce=everything, consume=everything, groups=[*GROUPS, "reader"]),
        ]

    def provision(self) -> None:
        """The topics and users of the platform."""
        provisioner.provision(
            self.spec(
                [
                    TopicSpec(
                        name=name,
                        partitions=PARTITIONS,
                        replication_factor=1,
                        config={"max.message.bytes": "2000"} if name == SMALL else {},
                    )
                    for name in EVERYTHING
                ],
            ),
            # Two starts of Java, while every other server of the run starts beside it.
            wait_seconds=180,
        )

    def delete_topic(self, name: str) -> None:
        admin = AdminClient(
            {
                "bootstrap.servers": f"localhost:{self.internal_port}",
                "security.protocol": "SSL",
                "ssl.ca.location": str(self.authority.ca_file),
                "ssl.certificate.location": str(self.certificate_file),
                "ssl.key.location": str(self.key_file),
            }
        )
        admin.delete_topics([name])[name].result(_ANSWER_SECONDS)

    def restart(self) -> None:
        """Start it again and wait until it answers its administrator."""
        self.container.start()
        provisioner.provision(self.spec(), wait_seconds=120)

    def producer(self, **changes: Any) -> Producer:
        config = producer_config(self.settings(), "tester", message_timeout_ms=SEND_SECONDS * 1000)
        return Producer(config | changes)

    def reader(self, topics: Sequence[str] = TOPICS) -> Reader:
        """Reads what is produced from now on."""
        return Reader(self, topics)

    def new_group(self, topics: Sequence[str] = TOPICS) -> str:
        """A consumer group that has read everything up to now."""
        group = next(_groups)
        consumer = self._consumer(group)
        try:
            ends = [
                TopicPartition(place.topic, place.partition, _end(consumer, place))
                for place in _places(topics)
            ]
            _once_it_answers(lambda: consumer.commit(offsets=ends, asynchronous=False))
        finally:
            consumer.close()
        return group

    def committed(self, group: str, topics: Sequence[str] = TOPICS) -> dict[tuple[str, int], int]:
        consumer = self._consumer(group)
        try:
            found = _once_it_answers(
                lambda: consumer.committed(_places(topics), timeout=_ANSWER_SECONDS)
            )
            return {(p.topic, p.partition): p.offset for p in found}
        finally:
            consumer.close()

    def _consumer(self, group: str) -> Consumer:
        return Consumer(
            consumer_config(
                self.settings(),
                "tester",
                group_id=group,
                group_instance_id=None,
                session_timeout_ms=10_000,
            )
        )


class Reader:
    """All messages of some topics since it was made, whoever else consumes them."""

    def __init__(self, server: KafkaServer, topics: Sequence[str]) -> None:
        self._consumer = server._consumer("reader")
        self._consumer.assign(
            [
                TopicPartition(place.topic, place.partition, _end(self._consumer, place))
                for place in _places(topics)
            ]
        )
        self.messages: list[Message] = []

    async def wait(self, count: int, seconds: float = 120) -> list[Message]:
        """Until there are `count` messages in all; AssertionError after `seconds`."""
        deadline = time.monotonic() + seconds
        while len(self.messages) < count:
            assert time.monotonic() < deadline, (
                f"{len(self.messages)} of {count} messages within {seconds} s"
            )
            await self.take()
        return self.messages

    async def take(self, seconds: float = 0.2) -> None:
        """What there is now."""
        got = await asyncio.to_thread(self._consumer.consume, 1000, seconds)
        for message in got:
            error = message.error()
            assert error is None or error.retriable(), error
            if error is None:
                self.messages.append(message)

    def close(self) -> None:
        self._consumer.close()


def _places(topics: Sequence[str]) -> list[TopicPartition]:
    return [TopicPartition(topic, n) for topic in topics for n in range(PARTITIONS)]


def _once_it_answers(ask: Callable[[], T]) -> T:
    """What a broker says, also one that was started a moment ago and still loads its groups: the
    client gives up after tenths of a second then."""
    give_up = time.monotonic() + _ANSWER_SECONDS
    while True:
        try:
            return ask()
        except KafkaException:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)


def _end(consumer: Consumer, place: TopicPartition) -> int:
    offsets = _once_it_answers(
        lambda: consumer.get_watermark_offsets(place, timeout=_ANSWER_SECONDS)
    )
    assert offsets is not None
    return offsets[1]


def pkcs8(key: bytes) -> bytes:
    """The same private key in the only form that Java reads."""
    return serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def headers_of(message: Message) -> dict[str, str]:
    return {
        name: value.decode() if isinstance(value, bytes) else str(value)
        for name, value in message.headers() or ()
    }


def admin_files(authority: Authority) -> tuple[Path, Path]:
    """Certificate and key of the administrator."""
    admin = authority.ca.issue_cert("admin.invalid", common_name=kafka_config.ADMIN)
    certificate_file = authority.folder / "kafka-admin.crt"
    certificate_file.write_bytes(b"".join(pem.bytes() for pem in admin.cert_chain_pems))
    key_file = authority.folder / "kafka-admin.key"
    key_file.write_bytes(admin.private_key_pem.bytes())
    return certificate_file, key_file


def tls_files(authority: Authority) -> dict[str, File]:
    """What the component mounts as a node's certificate, for `localhost`."""
    node = authority.ca.issue_cert("localhost", common_name=kafka_config.BROKER)
    chain = b"".join(pem.bytes() for pem in node.cert_chain_pems)
    key, tls = pkcs8(node.private_key_pem.bytes()), paths.TLS
    return {
        tls: File(None, 0o755, KAFKA_UID),
        f"{tls}/ca.crt": File(authority.ca_pem),
        f"{tls}/tls.crt": File(chain),
        f"{tls}/tls.key": File(key, 0o600, KAFKA_UID),
        f"{tls}/keystore.pem": File(key + chain, 0o600, KAFKA_UID),
    }


def start_kafka(
    containers: Containers,
    authority: Authority,
    *,
    name: str = "kafka",
    more_ports: Sequence[int] = (),
) -> KafkaServer:
    """One combined node; `localhost` and the host's ports are its advertised addresses.

    `name` is the container's. `more_ports` are the host's too, for a second node inside it.
    """
    client, internal = free_port(), free_port()
    certificate_file, key_file = admin_files(authority)
    properties = kafka_config.server_properties(
        roles=("broker", "controller"),
        voters="0@localhost:9093",
        replication_factor=1,
        min_insync_replicas=1,
        retention_hours=168,
    )
    # Later lines win. The listeners move to the ports by which the host reaches them.
    properties += f"""
node.id=0
listeners=CLIENT://:{client},CONTROLLER://:9093,INTERNAL://:{internal}
advertised.listeners=CLIENT://localhost:{client},INTERNAL://localhost:{internal}
offsets.topic.num.partitions=3
group.initial.rebalance.delay.ms=0
"""
    data = kafka_config.DATA_PATH
    script = f"""
        test -f {data}/kafka/meta.properties || java -Xmx128m -cp "/opt/kafka/libs/*" \
            kafka.tools.StorageTool format --cluster-id=bWlsbHJhY2UtdGVzdHMtMQ \
            --config /srv/kafka/server.properties
        exec java -Xms256m -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
            -Dlog4j2.configurationFile=/srv/kafka/log4j2.properties \
            -cp "/opt/kafka/libs/*" kafka.Kafka /srv/kafka/server.properties
    """
    uid = KAFKA_UID
    files: Mapping[str, File] = {
        data: File(None, 0o700, uid),
        "/srv/kafka": File(None, 0o755, uid),
        "/srv/kafka/server.properties": File(properties.encode()),
        "/srv/kafka/log4j2.properties": File(kafka_config.log4j2_properties().encode()),
        **tls_files(authority),
    }
    container = containers.run(
        name,
        containers.image("kafka"),
        ["/bin/bash", "-ec", script],
        uid=uid,
        ports=[client, internal, *more_ports],
        host_ports={port: port for port in (client, internal, *more_ports)},
        files=files,
    )
    return KafkaServer(container, authority, client, internal, certificate_file, key_file)


@pytest.fixture(scope="session")
def kafka_server(containers: Containers, authority: Authority) -> KafkaServer:
    server = start_kafka(containers, authority)
    try:
        server.provision()
    except Exception as error:
        error.add_note(server.container.logs()[-5000:])
        raise
    return server


@pytest.fixture
def kafka(kafka_server: KafkaServer) -> Iterator[KafkaServer]:
    """For tests that may stop the server: it runs again afterwards."""
    yield kafka_server
    kafka_server.container.unpause()
    kafka_server.restart()
