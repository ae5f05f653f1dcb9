"""The texts a Kafka node runs from: server.properties, logging, names and numbers of nodes.

Plain functions. Each node appends what only it knows (`node.id`, its advertised names) at start.
"""

import base64
import uuid
from collections.abc import Sequence
from typing import Final

from components.kit import paths
from components.kit.services import host_names, replica_domain
from components.servers.kafka.quorum import VOTERS

CLIENT_PORT: Final = 9092
CONTROLLER_PORT: Final = 9093
INTERNAL_PORT: Final = 9094
METRICS_PORT: Final = 9404
"""Plain HTTP, as the services' own metrics (docs/decisions/0063)."""
AGENT: Final = "/opt/jmx/jmx_prometheus_javaagent.jar"
"""Where an image has the agent that tells Prometheus of a node, if it has it."""
METRICS_FILE: Final = "metrics.yml"
"""Its configuration."""
CONFIG_PATH: Final = paths.config("kafka")
DATA_PATH: Final = "/var/lib/kafka/data"
"""The path the official image declares as a volume."""
BROKER: Final = "broker"
"""Common name of every node's certificate, and so the principal nodes know each other by."""
ADMIN: Final = "admin"
MECHANISMS: Final = ("SCRAM-SHA-512", "SCRAM-SHA-256")
"""In turn, from the first password of a user on: Kafka holds one password of a user per mechanism,
so the next one is there beside the one in use."""

_LONE_NODE: Final = {
    "broker.session.timeout.ms": 3000,
    "broker.heartbeat.interval.ms": 1000,
    "metadata.max.idle.interval.ms": 10_000,
}
"""How soon a node that is a whole cluster takes itself back, and how often it talks to itself.

A controller refuses a broker that restarted until the session of its former incarnation has run
out, and counts that session from its own start: a lone node that was killed waits for itself, with
the default for nine seconds. With this it has waited by the time its logs are read. Shorter
sessions take the leadership from brokers that are merely slow, which several nodes must not do to
each other; here nobody else could take it, and it returns with the next heartbeat.
(`ClusterControlManager.registerBroker` and `activate` in Kafka's metadata module.)

A record of nothing, twice a second with the default, shows the others of a quorum that they are up
to date.
"""


def server_properties(
    *,
    roles: Sequence[str],
    voters: str,
    replication_factor: int,
    min_insync_replicas: int,
    retention_hours: int,
) -> str:
    """What all nodes of one group share. `roles`: `broker`, `controller` or both."""
    listeners = {
        "CLIENT": (CLIENT_PORT, "SASL_SSL", "broker" in roles),
        "CONTROLLER": (CONTROLLER_PORT, "SSL", "controller" in roles),
        "INTERNAL": (INTERNAL_PORT, "SSL", "broker" in roles),
    }
    values: dict[str, str | int] = {
        "process.roles": ",".join(roles),
        VOTERS: voters,
        "controller.listener.names": "CONTROLLER",
        "listeners": ",".join(f"{n}://:{port}" for n, (port, _, on) in listeners.items() if on),
        "listener.security.protocol.map": ",".join(
            f"{n}:{p}" for n, (_, p, _) in listeners.items()
        ),
        "log.dirs": f"{DATA_PATH}/kafka",
        **_security(),
        "auto.create.topics.enable": "false",
        "unclean.leader.election.enable": "false",
        "default.replication.factor": replication_factor,
        "min.insync.replicas": min_insync_replicas,
        "offsets.topic.replication.factor": replication_factor,
        "transaction.state.log.replication.factor": replication_factor,
        "transaction.state.log.min.isr": min_insync_replicas,
        "share.coordinator.state.topic.replication.factor": replication_factor,
        "share.coordinator.state.topic.min.isr": min_insync_replicas,
        "log.retention.hours": retention_hours,
    }
    if "broker" in roles:
        values["inter.broker.listener.name"] = "INTERNAL"
    if "broker" in roles and "controller" in roles and "," not in voters:
        values |= _LONE_NODE
    return "".join(f"{key}={value}\n" for key, value in values.items())


def _security() -> dict[str, str | int]:
    """TLS on all listeners; client certificates on all but CLIENT; everything denied by default."""
    return {
        **_stores(),
        "ssl.client.auth": "required",
        "listener.name.client.ssl.client.auth": "none",
        "ssl.endpoint.identification.algorithm": "https",
        "ssl.enabled.protocols": "TLSv1.3,TLSv1.2",
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
        "sasl.enabled.mechanisms": ",".join(MECHANISMS),
        "listener.name.client.sasl.enabled.mechanisms": ",".join(MECHANISMS),
        **{
            f"listener.name.client.{mechanism.lower()}.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            )
            for mechanism in MECHANISMS
        },
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:{BROKER};User:{ADMIN}",
    }


def _stores() -> dict[str, str]:
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": f"{paths.TLS}/keystore.pem",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": f"{paths.TLS}/ca.crt",
    }


def log4j2_properties() -> str:
    """Everything to stdout, where the kubelet keeps it."""
    lines = {
        "status": "error",
        "appender.stdout.type": "Console",
        "appender.stdout.name": "stdout",
        "appender.stdout.layout.type": "PatternLayout",
        "appender.stdout.layout.pattern": "%d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX}{UTC} %p %c{1} %m%n",
        "rootLogger.level": "info",
        "rootLogger.appenderRef.stdout.ref": "stdout",
        # One line for every decision it takes, thousands a minute.
        "logger.authorizer.name": "kafka.authorizer.logger",
        "logger.authorizer.level": "warn",
        "logger.state.name": "state.change.logger",
        "logger.state.level": "warn",
    }
    return "".join(f"{key} = {value}\n" for key, value in lines.items())


def ports(roles: Sequence[str]) -> dict[str, int]:
    """Name to number of the ports a node of these roles listens on."""
    every = {
        "client": ("broker", CLIENT_PORT),
        "controller": ("controller", CONTROLLER_PORT),
        "internal": ("broker", INTERNAL_PORT),
    }
    return {name: port for name, (role, port) in every.items() if role in roles}


def client_properties() -> str:
    """A node's own way to INTERNAL, for commands that ask the cluster something."""
    values = {"security.protocol": "SSL", **_stores()}
    return "".join(f"{key}={value}\n" for key, value in values.items())


def pod_hosts(name: str, namespace: str, replicas: int) -> list[str]:
    """Full DNS name of every replica of a StatefulSet."""
    domain = replica_domain(name, namespace)
    return [f"{name}-{ordinal}.{domain}" for ordinal in range(replicas)]


def voters(name: str, namespace: str, replicas: int, first_id: int) -> str:
    """The static quorum: `0@kafka-0.kafka-headless.data.svc.cluster.local:9093,…`."""
    hosts = pod_hosts(name, namespace, replicas)
    return ",".join(
        f"{first_id + ordinal}@{host}:{CONTROLLER_PORT}" for ordinal, host in enumerate(hosts)
    )


def dns_names(groups: Sequence[str], namespace: str) -> tuple[str, ...]:
    """Every name a client or a node may check: the Service's, and any replica's by wildcard."""
    wildcards = [
        f"*.{host}"
        for group in groups
        for host in host_names(f"{group}-headless", namespace)
        if host.count(".") >= 2
    ]
    return ("localhost", *host_names(groups[0], namespace), *wildcards)


def cluster_id(*parts: str) -> str:
    """The same 22 characters for the same platform, so that volumes that outlive the state file
    still belong to the cluster that a later `up` makes."""
    identity = uuid.uuid5(uuid.NAMESPACE_DNS, "/".join(("millrace", *parts)))
    return base64.urlsafe_b64encode(identity.bytes).decode().rstrip("=")
