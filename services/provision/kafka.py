"""Brings a Kafka cluster to a spec: topics, SCRAM users and all rights there are. Idempotent."""

# confluent_kafka.admin re-exports its classes without saying so in __all__.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
)

from services.provision import kafka_logins
from services.provision.kafka_accounts import set_accounts
from services.provision.kafka_answers import REQUEST_SECONDS, answers
from services.provision.spec import KafkaSpec, ProvisionError, TopicSpec
from services.shared.kafka.client_log import with_log
from services.shared.kafka.clients import Config
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)


def provision(spec: KafkaSpec, *, wait_seconds: float) -> None:
    """Make the cluster as `spec` says; waits at most `wait_seconds` for a broker to answer.

    Topics that are not in the spec stay. Users and rights that are not in it are taken away,
    whoever gave them. Raises ProvisionError.
    """
    config: Config = {
        "bootstrap.servers": spec.bootstrap_servers,
        "client.id": "provision-kafka",
        "security.protocol": "SSL",
        "ssl.ca.location": str(spec.ca_file),
        "ssl.certificate.location": str(spec.certificate_file),
        "ssl.key.location": str(spec.key_file),
        "ssl.endpoint.identification.algorithm": "https",
        "reconnect.backoff.max.ms": 2000,
    }
    admin = AdminClient(with_log(config))
    try:
        partitions = _wait_for_broker(admin, spec.bootstrap_servers, wait_seconds)
        _topics(admin, spec.topics, partitions)
        set_accounts(admin, spec.users)
        kafka_logins.check(spec)
    except KafkaException as error:
        reason: KafkaError = error.args[0]
        raise ProvisionError(
            f"kafka at {spec.bootstrap_servers}: {reason.name()}: {reason.str()}; see the broker's"
            " log, then run this again"
        ) from error


def _wait_for_broker(admin: AdminClient, servers: str, wait_seconds: float) -> dict[str, list[int]]:
    """Wait for a broker; return the replication factors of the partitions of each topic."""
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            found = admin.list_topics(timeout=max(1.0, min(10.0, deadline - time.monotonic())))
        except KafkaException as error:
            if time.monotonic() >= deadline:
                raise ProvisionError(
                    f"kafka at {servers}: no broker answered within {wait_seconds:g} s"
                    f" ({error.args[0].str()}); see that the brokers run and that the certificate"
                    " is signed by their CA"
                ) from error
            log.info("waiting_for_broker", error=error.args[0].name())
            # list_topics may also fail at once, and would then be asked without a pause.
            time.sleep(0.5)
        else:
            if found.brokers:
                return {
                    name: [len(part.replicas) for part in topic.partitions.values()]
                    for name, topic in found.topics.items()
                }


def _topics(
    admin: AdminClient, wanted: Iterable[TopicSpec], existing: Mapping[str, list[int]]
) -> None:
    wanted = list(wanted)
    # Everything is checked before anything is changed.
    for topic in wanted:
        check_topic(topic, existing.get(topic.name))
    missing = [topic for topic in wanted if topic.name not in existing]
    created: Mapping[str, None] = {}
    if missing:
        created = answers(
            admin.create_topics(
                [
                    NewTopic(
                        topic.name,
                        num_partitions=topic.partitions,
                        replication_factor=topic.replication_factor,
                        config=dict(topic.config),
                    )
                    for topic in missing
                ],
                request_timeout=REQUEST_SECONDS,
                operation_timeout=REQUEST_SECONDS,
            ),
            # Another run of this program was faster; its configuration is compared below.
            tolerate=KafkaError.TOPIC_ALREADY_EXISTS,
        )
        log.info("topics_created", topics=list(created))
    growing = [t for t in wanted if t.name in existing and t.partitions > len(existing[t.name])]
    if growing:
        answers(
            admin.create_partitions(
                [NewPartitions(topic.name, topic.partitions) for topic in growing],
                request_timeout=REQUEST_SECONDS,
                operation_timeout=REQUEST_SECONDS,
            )
        )
        log.info("partitions_added", topics={t.name: t.partitions for t in growing})
    # A topic made just now has its configuration, and may still be unknown to the broker asked.
    _configure(admin, [t for t in wanted if t.config and t.name not in created])


def check_topic(topic: TopicSpec, existing: list[int] | None) -> None:
    """Refuse what cannot be done to a topic: `existing` holds each partition's replicas.

    Raises ProvisionError.
    """
    if existing is None:
        return
    if topic.partitions < len(existing):
        raise ProvisionError(
            f"topic {topic.name}: has {len(existing)} partitions and the spec says"
            f" {topic.partitions}; partitions cannot be taken away, so raise the number in the"
            " spec, or delete the topic with its messages first"
        )
    if any(replicas != topic.replication_factor for replicas in existing):
        raise ProvisionError(
            f"topic {topic.name}: has replication factor {max(existing)} and the spec says"
            f" {topic.replication_factor}; move its replicas with kafka-reassign-partitions, or"
            " correct the spec"
        )


def config_changes(wanted: Mapping[str, str], current: Mapping[str, str]) -> dict[str, str]:
    """The settings whose value on the topic is not the one wanted."""
    return {name: value for name, value in wanted.items() if current.get(name) != value}


def _configure(admin: AdminClient, topics: list[TopicSpec]) -> None:
    if not topics:
        return
    resources = {
        topic.name: ConfigResource(ConfigResource.Type.TOPIC, topic.name) for topic in topics
    }
    current = answers(
        admin.describe_configs(list(resources.values()), request_timeout=REQUEST_SECONDS)
    )
    changed: list[ConfigResource] = []
    for topic in topics:
        entries: dict[str, ConfigEntry] = current[resources[topic.name]]
        # A broker-wide default that happens to agree is no statement about this topic.
        own = {
            name: str(entry.value)
            for name, entry in entries.items()
            if entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        }
        changes = config_changes(topic.config, own)
        if changes:
            log.info("topic_configured", topic=topic.name, changes=changes)
            changed.append(
                ConfigResource(
                    ConfigResource.Type.TOPIC,
                    topic.name,
                    incremental_configs=[
                        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                        for name, value in changes.items()
                    ],
                )
            )
    if changed:
        answers(admin.incremental_alter_configs(changed, request_timeout=REQUEST_SECONDS))
