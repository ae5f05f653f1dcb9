"""Brings a Kafka cluster to a spec: topics, SCRAM users and their exact rights. Idempotent."""

# confluent_kafka.admin re-exports its classes without saying so in __all__.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from services.provision.spec import KafkaSpec, ProvisionError, TopicSpec, UserSpec
from services.shared.logging import get_logger
from services.shared.settings import read_secret

log = get_logger(__name__)

_REQUEST_SECONDS = 30.0
_SCRAM_ITERATIONS = 8192

# resource type, name, operation: enough to compare two rights, since all else is fixed here.
Right = tuple[ResourceType, str, AclOperation]
T = TypeVar("T")


def provision(spec: KafkaSpec, *, wait_seconds: float) -> None:
    """Make the cluster as `spec` says; waits at most `wait_seconds` for a broker to answer.

    Topics that are not in the spec stay. Rights of users in the spec that it does not give are
    taken away; other users are left alone. Raises ProvisionError.
    """
    config: Any = {
        "bootstrap.servers": spec.bootstrap_servers,
        "client.id": "provision-kafka",
        "security.protocol": "SSL",
        "ssl.ca.location": str(spec.ca_file),
        "ssl.certificate.location": str(spec.certificate_file),
        "ssl.key.location": str(spec.key_file),
        "ssl.endpoint.identification.algorithm": "https",
        "reconnect.backoff.max.ms": 2000,
        "logger": logging.getLogger("librdkafka"),
    }
    admin = AdminClient(config)
    try:
        partitions = _wait_for_broker(admin, spec.bootstrap_servers, wait_seconds)
        _topics(admin, spec.topics, partitions)
        _users(admin, spec.users)
        _rights(admin, spec.users)
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
    if missing:
        _all(
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
                request_timeout=_REQUEST_SECONDS,
                operation_timeout=_REQUEST_SECONDS,
            ),
            # Another run of this program was faster; its configuration is compared below.
            tolerate=KafkaError.TOPIC_ALREADY_EXISTS,
        )
        log.info("topics_created", topics=[topic.name for topic in missing])
    growing = [t for t in wanted if t.name in existing and t.partitions > len(existing[t.name])]
    if growing:
        _all(
            admin.create_partitions(
                [NewPartitions(topic.name, topic.partitions) for topic in growing],
                request_timeout=_REQUEST_SECONDS,
                operation_timeout=_REQUEST_SECONDS,
            )
        )
        log.info("partitions_added", topics={t.name: t.partitions for t in growing})
    _configure(admin, [topic for topic in wanted if topic.config])


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
    current = _all(
        admin.describe_configs(list(resources.values()), request_timeout=_REQUEST_SECONDS)
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
        _all(admin.incremental_alter_configs(changed, request_timeout=_REQUEST_SECONDS))


def _users(admin: AdminClient, users: Iterable[UserSpec]) -> None:
    # Kafka keeps a salted hash, so whether a password has changed cannot be asked: set each time.
    upsertions: Any = [
        UserScramCredentialUpsertion(
            user.name,
            ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _SCRAM_ITERATIONS),
            read_secret(user.password_file).encode(),
        )
        for user in users
    ]
    if upsertions:
        _all(admin.alter_user_scram_credentials(upsertions, request_timeout=_REQUEST_SECONDS))
        log.info("users_set", users=[upsertion.user for upsertion in upsertions])


def rights_of(user: UserSpec) -> set[Right]:
    """All that `user` may do. An idempotent producer needs no more than WRITE since Kafka 3.0."""
    rights: set[Right] = set()
    for topic in user.produce:
        rights |= {
            (ResourceType.TOPIC, topic, AclOperation.WRITE),
            (ResourceType.TOPIC, topic, AclOperation.DESCRIBE),
        }
    for topic in user.consume:
        rights |= {
            (ResourceType.TOPIC, topic, AclOperation.READ),
            (ResourceType.TOPIC, topic, AclOperation.DESCRIBE),
        }
    for group in user.groups:
        rights.add((ResourceType.GROUP, group, AclOperation.READ))
    return rights


def _rights(admin: AdminClient, users: Iterable[UserSpec]) -> None:
    for user in users:
        principal = f"User:{user.name}"
        found: list[AclBinding] = admin.describe_acls(
            AclBindingFilter(
                ResourceType.ANY,
                None,  # pyright: ignore[reportArgumentType] - the stub forgets "any name"
                ResourcePatternType.ANY,
                principal,
                None,  # pyright: ignore[reportArgumentType]
                AclOperation.ANY,
                AclPermissionType.ANY,
            ),
            request_timeout=_REQUEST_SECONDS,
        ).result()
        wanted = {_binding(principal, right) for right in rights_of(user)}
        present = set(found)
        if missing := wanted - present:
            _all(admin.create_acls(list(missing), request_timeout=_REQUEST_SECONDS))
        if extra := present - wanted:
            _all(
                admin.delete_acls(
                    [_exactly(binding) for binding in extra], request_timeout=_REQUEST_SECONDS
                )
            )
        if missing or extra:
            log.info("rights_set", user=user.name, given=len(missing), taken=len(extra))


def _binding(principal: str, right: Right) -> AclBinding:
    kind, name, operation = right
    return AclBinding(
        kind,
        name,
        ResourcePatternType.LITERAL,
        principal,
        "*",
        operation,
        AclPermissionType.ALLOW,
    )


def _exactly(binding: Any) -> AclBindingFilter:
    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )


def _all(futures: Mapping[Any, Future[T]], tolerate: int | None = None) -> dict[Any, T]:
    """Wait for every answer of one request. Raises the first KafkaException among them."""
    answers: dict[Any, T] = {}
    for thing, future in futures.items():
        try:
            answers[thing] = future.result()
        except KafkaException as error:
            if error.args[0].code() != tolerate:
                raise
    return answers
