"""What the agent in a Kafka node tells, as the component's own script starts it."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from components.servers.kafka import config as kafka_config
from components.servers.kafka import scripts as kafka_scripts
from infra.monitoring import kafka_jmx
from infra.monitoring.exporters import EXPORTERS
from services.provision import kafka as provisioner
from services.provision.spec import KafkaSpec, TopicSpec
from tests.integration.authority import Authority, eventually
from tests.integration.containers import Container, Containers, File
from tests.integration.exporter_container import Series, read
from tests.integration.kafka_container import KAFKA_UID, admin_files, tls_files
from tests.integration.ports import free_port

CONFIG = kafka_config.CONFIG_PATH
SCRAPES = 20
OF_FAILURES = tuple(
    f"kafka_server_brokertopicmetrics_failed{what}requests_total" for what in ("produce", "fetch")
)
"""A broker has them from a topic's first failure on."""
MOST_CPU_SECONDS = 0.3
"""Of one answer: every 30 s, a hundredth of a processor."""


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {name: free_port() for name in ("client", "controller", "internal", "metrics")}


@pytest.fixture(scope="module")
def node(containers: Containers, authority: Authority, ports: dict[str, int]) -> Container:
    listeners = ",".join(
        f"{name.upper()}://localhost:{ports[name]}" for name in ("client", "internal", "controller")
    )
    properties = kafka_config.server_properties(
        roles=("broker", "controller"),
        voters=f"0@localhost:{ports['controller']}",
        replication_factor=1,
        min_insync_replicas=1,
        retention_hours=168,
    )
    advertised = listeners.rsplit(",", 1)[0]
    properties += f"listeners={listeners}\nadvertised.listeners={advertised}\n"
    properties += "log.cleaner.dedupe.buffer.size=8000000\n"
    texts = {
        "server.properties": properties,
        "log4j2.properties": kafka_config.log4j2_properties(),
        kafka_config.METRICS_FILE: kafka_jmx.configuration(),
        **kafka_scripts.scripts(),
    }
    return containers.run(
        "kafka-with-agent",
        containers.image("kafka"),
        ["bash", f"{CONFIG}/start.sh"],
        uid=KAFKA_UID,
        ports=[],
        files={
            kafka_config.DATA_PATH: File(None, 0o700, KAFKA_UID),
            **tls_files(authority),
            CONFIG: File(None, 0o755, KAFKA_UID),
            **{f"{CONFIG}/{name}": File(text.encode()) for name, text in texts.items()},
        },
        environment={
            "POD_NAME": "kafka-0",
            "FIRST_NODE_ID": "0",
            "ADVERTISED_DOMAIN": "",
            "CLUSTER_ID": "bWlsbHJhY2UtdGVzdHMtMQ",
            "HEAP_MEBIBYTES": "256",
            "PROBE_PORT": str(ports["internal"]),
            "METRICS_PORT": str(ports["metrics"]),
            "REPLICATED": "",
        },
        on_host=True,
    )


def scraped(ports: dict[str, int]) -> Series:
    with urllib.request.urlopen(f"http://localhost:{ports['metrics']}/metrics", timeout=30) as said:
        return read(said.read().decode())


def cpu_seconds(found: Series) -> float:
    [(_, value)] = found["process_cpu_seconds_total"]
    return value


async def test_what_rules_and_boards_ask_for_is_there(
    node: Container, authority: Authority, ports: dict[str, int]
) -> None:
    certificate, key = admin_files(authority)
    provisioner.provision(
        KafkaSpec(
            bootstrap_servers=f"localhost:{ports['internal']}",
            client_servers=f"localhost:{ports['client']}",
            ca_file=authority.ca_file,
            certificate_file=certificate,
            key_file=key,
            topics=[TopicSpec(name="watched", partitions=2, replication_factor=1)],
        ),
        wait_seconds=240,
    )
    _one_message_through(authority, certificate, key, ports["internal"])
    found: Series = {}

    async def there() -> bool:
        found.clear()
        found.update(scraped(ports))
        return "kafka_server_brokertopicmetrics_bytesout_total" in found

    await eventually(there)
    [agent] = (one for one in EXPORTERS if one.name == "JMX exporter (agent)")
    wanted = {name: set(labels) for name, labels in agent.series.items() if name not in OF_FAILURES}
    missing = sorted(wanted.keys() - found.keys())
    assert not missing
    assert {name: {*found[name][0][0]} for name in wanted} == wanted
    assert {labels["topic"] for labels, _ in found["kafka_log_log_size_bytes"]} >= {"watched"}
    assert found["kafka_controller_kafkacontroller_activecontrollercount"] == [({}, 1.0)]

    before = cpu_seconds(scraped(ports))
    for _ in range(SCRAPES):
        scraped(ports)
    spent = (cpu_seconds(scraped(ports)) - before) / SCRAPES
    assert spent < MOST_CPU_SECONDS, "of one answer, what else it did included"


def test_a_node_whose_image_lacks_the_agent_starts_all_the_same() -> None:
    script = kafka_scripts.scripts()["start.sh"]
    assert f"if [ -f {kafka_config.AGENT} ]" in script


def _one_message_through(authority: Authority, certificate: Path, key: Path, port: int) -> None:
    known: dict[str, str | int | float | bool] = {
        "bootstrap.servers": f"localhost:{port}",
        "security.protocol": "SSL",
        "ssl.ca.location": str(authority.ca_file),
        "ssl.certificate.location": str(certificate),
        "ssl.key.location": str(key),
    }
    producer = Producer(known)
    producer.produce("watched", b"one", partition=0)
    assert producer.flush(60) == 0
    consumer = Consumer(known | {"group.id": "watcher"})
    consumer.assign([TopicPartition("watched", 0, 0)])
    try:
        assert consumer.consume(1, 60)
    finally:
        consumer.close()
