"""What provisioning may change, and what rights a user gets."""

from __future__ import annotations

# pyright: reportPrivateImportUsage=false
from pathlib import Path
from typing import get_args

import pytest
from confluent_kafka.admin import AclOperation, ResourceType

from components.servers.kafka import config
from services.provision.kafka import check_topic, config_changes
from services.provision.kafka_accounts import passwords_of, rights_of
from services.provision.spec import Mechanism, PreviousSpec, ProvisionError, TopicSpec, UserSpec
from services.shared.kafka.clients import MECHANISMS


def topic(partitions: int, factor: int = 1) -> TopicSpec:
    return TopicSpec(name="t", partitions=partitions, replication_factor=factor)


def test_new_and_growing_topics_are_fine() -> None:
    check_topic(topic(6), None)
    check_topic(topic(6), [1, 1])
    check_topic(topic(2), [1, 1])


def test_shrinking_is_refused_with_both_numbers_and_a_way_out() -> None:
    with pytest.raises(ProvisionError, match=r"has 3 partitions and the spec says 2; .* raise"):
        check_topic(topic(2), [1, 1, 1])


def test_another_replication_factor_is_refused() -> None:
    with pytest.raises(ProvisionError, match="replication factor 1 and the spec says 3"):
        check_topic(topic(2, 3), [1, 1])


def test_only_settings_that_differ_are_changed() -> None:
    assert config_changes({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "9", "d": "4"}) == {
        "b": "2",
        "c": "3",
    }


def test_producers_write_consumers_read_and_nobody_gets_more(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("x")
    user = UserSpec(name="u", password_file=password, produce=["p"], consume=["c"], groups=["g"])
    assert rights_of(user) == {
        (ResourceType.TOPIC, "p", AclOperation.WRITE),
        (ResourceType.TOPIC, "p", AclOperation.DESCRIBE),
        (ResourceType.TOPIC, "c", AclOperation.READ),
        (ResourceType.TOPIC, "c", AclOperation.DESCRIBE),
        (ResourceType.GROUP, "g", AclOperation.READ),
    }
    assert rights_of(UserSpec(name="u", password_file=password)) == set()


def account(file: Path, previous: PreviousSpec | None) -> UserSpec:
    return UserSpec(name="u", password_file=file, mechanism="SCRAM-SHA-256", previous=previous)


@pytest.mark.parametrize("accepted", [True, False])
def test_the_password_before_counts_by_the_other_mechanism_and_only_while_it_is_accepted(
    tmp_path: Path, accepted: bool
) -> None:
    new, old = tmp_path / "password", tmp_path / "previous"
    for file in (new, old):
        file.write_text("x")
    found = passwords_of([account(new, PreviousSpec(password_file=old, accepted=accepted))])
    assert found.pop(("u", "SCRAM-SHA-256")) == new
    assert found == ({("u", "SCRAM-SHA-512"): old} if accepted else {})


def test_clients_servers_and_what_provisions_them_know_the_same_mechanisms() -> None:
    assert MECHANISMS == config.MECHANISMS
    assert set(MECHANISMS) == set(get_args(Mechanism))
