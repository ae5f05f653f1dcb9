"""Kafka nodes by the component's own scripts: how they start, and when they are ready."""

# confluent_kafka.admin re-exports its classes without saying so in __all__.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from components.servers.kafka import config as kafka_config
from components.servers.kafka import scripts as kafka_scripts
from services.provision import kafka as provisioner
from services.provision.spec import KafkaSpec, TopicSpec
from tests.integration.containers import Container, Containers, File
from tests.integration.kafka_container import KAFKA_UID, admin_files, tls_files
from tests.integration.ports import free_port
from tests.integration.servers import Authority

pytestmark = pytest.mark.timeout(900)  # a wait alone may take a third of it, see until()

CONFIG = kafka_config.CONFIG_PATH
READY = ("bash", f"{CONFIG}/ready.sh")


@dataclass(frozen=True)
class Node:
    """Its number, what it does, and the port of each of its listeners on `localhost`."""

    number: int
    roles: tuple[str, ...]
    client: int
    controller: int
    internal: int

    @classmethod
    def make(cls, number: int, *roles: str) -> Node:
        return cls(number, roles, free_port(), free_port(), free_port())

    def properties(self, voters: str) -> File:
        listeners = {"CLIENT": self.client, "INTERNAL": self.internal}
        advertised = ",".join(f"{n}://localhost:{port}" for n, port in listeners.items())
        controller = f",CONTROLLER://localhost:{self.controller}"
        text = kafka_config.server_properties(
            roles=self.roles,
            voters=voters,
            replication_factor=1,
            min_insync_replicas=1,
            retention_hours=168,
        )
        # Later lines win.
        text += f"listeners={advertised}{controller if 'controller' in self.roles else ''}\n"
        text += f"advertised.listeners={advertised}\nlog.cleaner.dedupe.buffer.size=8000000\n"
        return File(text.encode())

    def start(
        self, containers: Containers, authority: Authority, voters: str, *, replicated: bool
    ) -> Container:
        files = {
            kafka_config.DATA_PATH: File(None, 0o700, KAFKA_UID),
            **tls_files(authority),
            CONFIG: File(None, 0o755, KAFKA_UID),
            f"{CONFIG}/server.properties": self.properties(voters),
            f"{CONFIG}/client.properties": File(kafka_config.client_properties().encode()),
            f"{CONFIG}/log4j2.properties": File(kafka_config.log4j2_properties().encode()),
            **{
                f"{CONFIG}/{name}": File(text.encode())
                for name, text in kafka_scripts.scripts().items()
            },
        }
        return containers.run(
            f"kafka-node-{self.internal}",
            containers.image("kafka"),
            ["bash", f"{CONFIG}/start.sh"],
            uid=KAFKA_UID,
            ports=[],
            files=files,
            environment={
                "POD_NAME": f"kafka-{self.number}",
                "FIRST_NODE_ID": "0",
                "ADVERTISED_DOMAIN": "",
                "CLUSTER_ID": "bWlsbHJhY2UtdGVzdHMtMQ",
                "HEAP_MEBIBYTES": "256",
                "PROBE_PORT": str(self.internal),
                "REPLICATED": "yes" if replicated else "",
            },
            on_host=True,
        )


def until(what: Callable[[], bool], container: Container) -> None:
    """Waits for it; after five minutes an AssertionError with the container's last lines."""
    deadline = time.monotonic() + 300
    while not what():
        assert time.monotonic() < deadline, container.logs()[-4000:]
        time.sleep(0.5)


def passes(container: Container, *command: str) -> bool:
    return container.ask(*command)[0] == 0


def test_a_node_told_of_other_voters_stops_and_its_data_stay(
    containers: Containers, authority: Authority
) -> None:
    node = Node.make(0, "broker", "controller")
    one = f"0@localhost:{node.controller}"
    three = f"{one},1@localhost:{free_port()},2@localhost:{free_port()}"
    container = node.start(containers, authority, one, replicated=False)
    until(lambda: passes(container, *READY), container)
    container.stop()

    container.put({f"{CONFIG}/server.properties": node.properties(three)})
    container.start()
    assert container.exit_code() == 1
    assert "has the voters 0, but the configuration has 0 1 2" in container.logs()

    container.put({f"{CONFIG}/server.properties": node.properties(one)})
    container.start()
    until(lambda: passes(container, *READY), container)
    container.stop()


def test_a_broker_is_ready_once_it_has_caught_up_and_not_before(
    containers: Containers, authority: Authority
) -> None:
    first, second = Node.make(0, "broker", "controller"), Node.make(1, "broker")
    voters = f"0@localhost:{first.controller}"
    leader = first.start(containers, authority, voters, replicated=False)
    follower = second.start(containers, authority, voters, replicated=True)
    until(lambda: passes(follower, *READY, kafka_scripts.IN_SYNC_FILE), follower)
    admin = Administrator(authority, first)
    admin.make_throttled_topic()

    admin.throttle(1)
    follower.stop()
    # Each ten seconds or so one message comes through all the same: minutes until it has all.
    admin.write_megabytes(20)
    follower.start()
    until(lambda: passes(follower, *READY), follower)
    code, said = follower.ask(*READY, kafka_scripts.IN_SYNC_FILE)
    assert code == 1, "it serves, but holds a fraction of the topic"
    assert "has not caught up yet" in said

    admin.throttle(100_000_000)
    until(lambda: passes(follower, *READY, kafka_scripts.IN_SYNC_FILE), follower)

    leader.stop()
    assert passes(follower, *READY, kafka_scripts.IN_SYNC_FILE), "another's absence is not its own"
    follower.stop()


class Administrator:
    """The cluster as its administrator sees it, through one node."""

    def __init__(self, authority: Authority, node: Node) -> None:
        certificate_file, key_file = admin_files(authority)
        self._spec = KafkaSpec(
            bootstrap_servers=f"localhost:{node.internal}",
            client_servers=f"localhost:{node.client}",
            ca_file=authority.ca_file,
            certificate_file=certificate_file,
            key_file=key_file,
            topics=[],
            users=[],
        )
        self._config: dict[str, str | int | float | bool] = {
            "bootstrap.servers": self._spec.bootstrap_servers,
            "security.protocol": "SSL",
            "ssl.ca.location": str(authority.ca_file),
            "ssl.certificate.location": str(certificate_file),
            "ssl.key.location": str(key_file),
        }

    def make_throttled_topic(self) -> None:
        """`copied`: one partition on two brokers, whose copying `throttle` may slow down."""
        slow = {f"{side}.replication.throttled.replicas": "*" for side in ("leader", "follower")}
        topic = TopicSpec(name="copied", partitions=1, replication_factor=2, config=slow)
        provisioner.provision(self._spec.model_copy(update={"topics": [topic]}), wait_seconds=60)

    def write_megabytes(self, count: int) -> None:
        producer = Producer(self._config)
        for _ in range(count):
            producer.produce("copied", b"x" * 900_000)
        assert producer.flush(60) == 0

    def throttle(self, bytes_per_second: int) -> None:
        for broker in ("0", "1"):
            rates = [
                ConfigEntry(
                    f"{side}.replication.throttled.rate",
                    str(bytes_per_second),
                    incremental_operation=AlterConfigOpType.SET,
                )
                for side in ("leader", "follower")
            ]
            resource = ConfigResource(ResourceType.BROKER, broker, incremental_configs=rates)
            admin = AdminClient(self._config)
            for future in admin.incremental_alter_configs([resource]).values():
                future.result(60)
