"""Kafka provisioning against a real broker."""

# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)
from structlog.testing import capture_logs

from services.contracts.topics import RESOURCE_CREATED, RESOURCE_DELETED
from services.provision.kafka import provision
from services.provision.spec import ProvisionError, TopicSpec
from services.shared.kafka.clients import producer_config
from tests.integration.kafka_container import TOPICS, KafkaServer

any_name: Any = None


@pytest.fixture
def admin(kafka_server: KafkaServer) -> AdminClient:
    spec = kafka_server.spec()
    return AdminClient(
        {
            "bootstrap.servers": spec.bootstrap_servers,
            "security.protocol": "SSL",
            "ssl.ca.location": str(spec.ca_file),
            "ssl.certificate.location": str(spec.certificate_file),
            "ssl.key.location": str(spec.key_file),
        }
    )


@pytest.fixture
def topic(kafka_server: KafkaServer, admin: AdminClient) -> Iterator[str]:
    name = f"provision.test-{time.monotonic_ns()}"
    yield name
    for future in admin.delete_topics([name]).values():
        try:
            future.result()
        except KafkaException as error:
            assert error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART  # noqa: PT017


def make(name: str, partitions: int = 2, factor: int = 1, **config: str) -> TopicSpec:
    settings = {key.replace("_", "."): value for key, value in config.items()}
    return TopicSpec(name=name, partitions=partitions, replication_factor=factor, config=settings)


def apply(server: KafkaServer, *topics: TopicSpec) -> None:
    provision(server.spec(topics), wait_seconds=120)


def partitions(admin: AdminClient, topic: str) -> int:
    return len(admin.list_topics(topic, timeout=30).topics[topic].partitions)


def config(admin: AdminClient, topic: str) -> dict[str, str]:
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    (future,) = admin.describe_configs([resource]).values()
    return {name: str(entry.value) for name, entry in future.result().items()}


def rights(admin: AdminClient, user: str) -> set[tuple[ResourceType, str, AclOperation]]:
    found = admin.describe_acls(
        AclBindingFilter(
            ResourceType.ANY,
            any_name,
            ResourcePatternType.ANY,
            f"User:{user}",
            any_name,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
    ).result()
    return {(b.restype, b.name, b.operation) for b in found}


def until(find: Callable[[], Any], wanted: Any) -> None:
    """The controller answers a change before the broker that is asked here has learnt of it."""
    deadline = time.monotonic() + 60
    while (found := find()) != wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found == wanted


def until_rights(admin: AdminClient, user: str, wanted: set[Any]) -> None:
    until(lambda: rights(admin, user), wanted)


def until_partitions(admin: AdminClient, topic: str, wanted: int) -> None:
    until(lambda: partitions(admin, topic), wanted)


def producing(topic: str) -> set[Any]:
    """The rights of who may."""
    kinds = (AclOperation.WRITE, AclOperation.DESCRIBE)
    return {(ResourceType.TOPIC, topic, kind) for kind in kinds}


def deliver(server: KafkaServer, user: str, topic: str, seconds: int = 60) -> KafkaError | None:
    """Produce one message as `user`; the error of its delivery, which may take so long: for one
    that is never let in all of it."""
    answers: list[KafkaError | None] = []
    config = producer_config(server.settings(user), user, message_timeout_ms=1000 * seconds)
    producer = Producer(config)
    producer.produce(topic, value=b"x", on_delivery=lambda error, _: answers.append(error))
    producer.flush(seconds + 30)
    (answer,) = answers
    return answer


def test_a_topic_is_created_and_a_second_run_changes_nothing(
    kafka_server: KafkaServer, admin: AdminClient, topic: str
) -> None:
    wanted = make(topic, retention_ms="3600000")
    apply(kafka_server, wanted)
    until_partitions(admin, topic, 2)
    apply(kafka_server, wanted)
    assert partitions(admin, topic) == 2
    assert config(admin, topic)["retention.ms"] == "3600000"


def test_partitions_grow_and_one_changed_setting_leaves_the_others(
    kafka_server: KafkaServer, admin: AdminClient, topic: str
) -> None:
    apply(kafka_server, make(topic, retention_ms="3600000", segment_ms="600000"))
    until_partitions(admin, topic, 2)
    apply(kafka_server, make(topic, partitions=5, retention_ms="7200000"))
    until_partitions(admin, topic, 5)
    until(lambda: config(admin, topic)["retention.ms"], "7200000")
    assert config(admin, topic)["segment.ms"] == "600000"


def test_fewer_partitions_are_refused_before_anything_is_changed(
    kafka_server: KafkaServer, admin: AdminClient, topic: str
) -> None:
    apply(kafka_server, make(topic, partitions=3))
    until_partitions(admin, topic, 3)
    with pytest.raises(ProvisionError, match=rf"topic {topic}: has 3 partitions .* says 1;"):
        apply(kafka_server, make(f"{topic}-other"), make(topic, partitions=1))
    assert f"{topic}-other" not in admin.list_topics(timeout=30).topics


def test_another_replication_factor_is_refused(
    kafka_server: KafkaServer, admin: AdminClient, topic: str
) -> None:
    apply(kafka_server, make(topic))
    until_partitions(admin, topic, 2)
    with pytest.raises(ProvisionError, match="kafka-reassign-partitions"):
        apply(kafka_server, make(topic, factor=3))


def test_a_setting_that_kafka_does_not_know_fails_with_its_name(
    kafka_server: KafkaServer, topic: str
) -> None:
    with pytest.raises(ProvisionError, match=r"no\.such\.setting"):
        apply(kafka_server, make(topic, no_such_setting="1"))


def test_a_user_has_exactly_the_rights_of_the_spec_and_loses_those_it_gives_no_more(
    kafka_server: KafkaServer, admin: AdminClient
) -> None:
    created, deleted = RESOURCE_CREATED, RESOURCE_DELETED
    user = kafka_server.user("exact", produce=[created], consume=[deleted], groups=["a", "b"])
    provision(kafka_server.spec(users=[user]), wait_seconds=30)
    all_of_it = {
        (ResourceType.TOPIC, created, AclOperation.WRITE),
        (ResourceType.TOPIC, created, AclOperation.DESCRIBE),
        (ResourceType.TOPIC, deleted, AclOperation.READ),
        (ResourceType.TOPIC, deleted, AclOperation.DESCRIBE),
        (ResourceType.GROUP, "a", AclOperation.READ),
        (ResourceType.GROUP, "b", AclOperation.READ),
    }
    until_rights(admin, "exact", all_of_it)
    others = rights(admin, "tester")
    fewer = kafka_server.user("exact", produce=[deleted])
    provision(kafka_server.spec(users=[fewer]), wait_seconds=30)
    remaining = {
        (ResourceType.TOPIC, deleted, AclOperation.WRITE),
        (ResourceType.TOPIC, deleted, AclOperation.DESCRIBE),
    }
    until_rights(admin, "exact", remaining)
    assert rights(admin, "tester") == others


def test_a_user_that_left_the_spec_loses_its_password_and_every_right(
    kafka_server: KafkaServer, admin: AdminClient
) -> None:
    user = kafka_server.user("leaver", produce=[TOPICS[0]], groups=["leavers"])
    provision(kafka_server.spec(users=[user]), wait_seconds=30)
    group = (ResourceType.GROUP, "leavers", AclOperation.READ)
    until_rights(admin, "leaver", {*producing(TOPICS[0]), group})
    assert deliver(kafka_server, "leaver", TOPICS[0]) is None
    with capture_logs() as said:
        provision(kafka_server.spec(), wait_seconds=30)
    until_rights(admin, "leaver", set())
    described: Any = admin.describe_user_scram_credentials
    until(lambda: "leaver" in described().result(), False)
    assert deliver(kafka_server, "leaver", TOPICS[0], seconds=5) is not None
    warnings = {line["event"]: line for line in said if line["log_level"] == "warning"}
    assert "leaver" in warnings["passwords_removed"]["users"]
    assert f"User:leaver WRITE TOPIC {TOPICS[0]}" in warnings["rights_taken"]["rights"]


def test_rights_that_somebody_gave_by_hand_are_taken_away(
    kafka_server: KafkaServer, admin: AdminClient
) -> None:
    everything = AclBinding(
        ResourceType.TOPIC,
        "*",
        ResourcePatternType.LITERAL,
        "User:*",
        "*",
        AclOperation.ALL,
        AclPermissionType.ALLOW,
    )
    for future in admin.create_acls([everything]).values():
        future.result()
    # What the broker has not learnt of yet it does not show who takes it away either.
    until(lambda: bool(rights(admin, "*")), True)
    provision(kafka_server.spec(), wait_seconds=30)
    until_rights(admin, "*", set())
    assert deliver(kafka_server, "event-worker", TOPICS[0], seconds=5) is not None
    assert deliver(kafka_server, "outbox-relay-rest", TOPICS[0]) is None


def test_a_user_may_produce_where_it_was_allowed_and_nowhere_else(
    kafka_server: KafkaServer,
) -> None:
    assert deliver(kafka_server, "outbox-relay-rest", TOPICS[0]) is None
    refused = deliver(kafka_server, "event-worker", TOPICS[0], seconds=5)
    assert refused is not None
    assert refused.code() in {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._UNKNOWN_TOPIC,
    }


def test_a_changed_password_counts_and_the_old_one_does_not(
    kafka_server: KafkaServer, admin: AdminClient
) -> None:
    user = kafka_server.user("rotated", produce=[TOPICS[0]])
    provision(kafka_server.spec(users=[user]), wait_seconds=30)
    until_rights(admin, "rotated", producing(TOPICS[0]))
    assert deliver(kafka_server, "rotated", TOPICS[0]) is None
    old = user.password_file.read_text()
    user.password_file.write_text("another password")
    provision(kafka_server.spec(users=[user]), wait_seconds=30)
    assert deliver(kafka_server, "rotated", TOPICS[0]) is None
    user.password_file.write_text(old)
    assert deliver(kafka_server, "rotated", TOPICS[0], seconds=5) is not None


def test_no_broker_is_said_within_the_time_given(kafka_server: KafkaServer) -> None:
    nowhere = kafka_server.spec().model_copy(update={"bootstrap_servers": "localhost:1"})
    with pytest.raises(ProvisionError, match=r"localhost:1: no broker answered within 1 s"):
        provision(nowhere, wait_seconds=1)
