"""A second broker in the first one's container, to take away and bring back."""

from __future__ import annotations

import time

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from components.servers.kafka.config import DATA_PATH
from services.provision import kafka as provisioner
from tests.integration.containers import Containers
from tests.integration.kafka_container import (
    PARTITIONS,
    RELAY,
    SMALL,
    TESTER,
    TOPICS,
    start_kafka,
)
from tests.integration.ports import free_port
from tests.integration.servers import Authority

LAME, LEADERLESS = "lame.topic", (0, 1)
"""A topic, and its partitions that have no leader while the second broker is away."""
THIN = "thin.topic"
"""A topic that demands more replicas than it has while the second broker is away."""

_FOLDER = "/tmp/second"


class SecondBroker:
    """Node 1 of `server`'s cluster."""

    def __init__(
        self, containers: Containers, authority: Authority, name: str = "kafka-pair"
    ) -> None:
        self._client, self._internal = free_port(), free_port()
        ports = [self._client, self._internal]
        self.server = start_kafka(containers, authority, name=name, more_ports=ports)

    def set_up(self) -> None:
        """Everything that tests and relays need, with both brokers there."""
        self.server.provision()
        self.start()
        self._create_topics()
        more = [*TOPICS, SMALL, LAME, THIN]
        users = [
            self.server.user(RELAY, produce=more),
            self.server.user(TESTER, produce=more, consume=more, groups=["reader"]),
        ]
        provisioner.provision(self.server.spec([], users), wait_seconds=120)

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.server.container.execute(f"""
            mkdir -p {_FOLDER}
            cat /srv/kafka/server.properties - > {_FOLDER}/server.properties <<END
node.id=1
process.roles=broker
listeners=CLIENT://:{self._client},INTERNAL://:{self._internal}
advertised.listeners=CLIENT://localhost:{self._client},INTERNAL://localhost:{self._internal}
log.dirs={_FOLDER}/data
END
            test -d {_FOLDER}/data || java -Xmx128m -cp "/opt/kafka/libs/*" \
                kafka.tools.StorageTool format \
                --cluster-id=$(sed -n s/cluster.id=//p {DATA_PATH}/kafka/meta.properties) \
                --config {_FOLDER}/server.properties
            nohup java -Xms128m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
                -Dlog4j2.configurationFile=/srv/kafka/log4j2.properties \
                -cp "/opt/kafka/libs/*" kafka.Kafka {_FOLDER}/server.properties \
                > {_FOLDER}/log 2>&1 &
            echo $! > {_FOLDER}/pid
            until ((SECONDS > 110)); do  # after 120 the engine's client gives the command up
                kill -0 $(cat {_FOLDER}/pid) || {{ tail -50 {_FOLDER}/log; exit 1; }}
                if (: < /dev/tcp/localhost/{self._client}) 2> {_FOLDER}/closed; then exit 0; fi
                sleep 0.1
            done
            tail -50 {_FOLDER}/log; exit 1
        """)

    def kill(self) -> None:
        """Take it away as a machine that lost power, and wait until the cluster knows.

        Until then the other broker takes what is sent to THIN, and shows it to readers afterwards.
        """
        self.server.container.execute(f"kill -9 $(cat {_FOLDER}/pid)")
        admin, give_up = self._admin(), time.monotonic() + 120
        while True:
            thin = admin.list_topics(THIN, timeout=30).topics[THIN].partitions.values()
            if all(partition.isrs == [0] for partition in thin):
                return
            assert time.monotonic() < give_up, "the cluster does not notice that a broker is gone"
            time.sleep(0.1)

    def _admin(self) -> AdminClient:
        spec = self.server.spec()
        return AdminClient(
            {
                "bootstrap.servers": spec.bootstrap_servers,
                "security.protocol": "SSL",
                "ssl.ca.location": str(spec.ca_file),
                "ssl.certificate.location": str(spec.certificate_file),
                "ssl.key.location": str(spec.key_file),
            }
        )

    def _create_topics(self) -> None:
        lame = [[1] if number in LEADERLESS else [0] for number in range(PARTITIONS)]
        thin = [[0, 1]] * PARTITIONS
        admin, give_up = self._admin(), time.monotonic() + 120  # whose end would be the call's too
        while len(admin.list_topics(timeout=30).brokers) < 2:
            assert time.monotonic() < give_up, "the cluster does not take in the second broker"
            time.sleep(0.1)
        made = admin.create_topics(
            [
                NewTopic(LAME, PARTITIONS, replica_assignment=lame),
                NewTopic(
                    THIN,
                    PARTITIONS,
                    replica_assignment=thin,
                    config={"min.insync.replicas": "2"},
                ),
            ]
        )
        for future in made.values():
            future.result(60)
