"""The voters of a cluster's quorum stay what they were when it was made."""

from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from components.servers.kafka.cluster import Kafka
from tests.harness import platforms
from tests.harness.recording import Recording, record

CONFIGS = ("kafka-config", "kafka-controller-config")
nodes = platforms.nodes


def of(brokers: int, controllers: int = 0) -> Recording:
    return record(
        lambda: platforms.kafka(
            brokers=nodes(brokers), controllers=nodes(controllers) if controllers else None
        )
    )


def update(before: Recording, after: Recording) -> None:
    """Runs the hooks of each node group's ConfigMap, as the engine would before an update."""
    pairs = [
        (old, new)
        for new in after.of("ConfigMap")
        for old in before.of("ConfigMap")
        if new.name == old.name and new.name in CONFIGS
    ]
    assert pairs, "there is nothing to compare"
    for old, new in pairs:
        assert new.before_update, f"nothing watches updates of {new.name}"
        for hook in new.before_update:
            after.hooks[hook](
                pulumi.ResourceHookArgs(
                    urn=new.urn,
                    id="",
                    name=new.name,
                    type=new.type,
                    new_inputs=new.inputs,
                    old_inputs=old.inputs,
                )
            )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param((1, 0), (3, 0), id="more combined nodes"),
        pytest.param((3, 0), (1, 0), id="fewer combined nodes"),
        pytest.param((3, 3), (3, 5), id="more controllers"),
        pytest.param((3, 5), (3, 3), id="fewer controllers"),
        pytest.param((3, 0), (3, 3), id="controllers of their own"),
        pytest.param((3, 3), (3, 0), id="no more controllers of their own"),
    ],
)
def test_an_update_that_changes_the_quorum_is_refused(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match="new ones could elect a leader that knows no topics"):
        update(of(*before), of(*after))


def test_the_refusal_says_what_would_change_and_what_to_do() -> None:
    with pytest.raises(ValueError, match="the quorum of kafka would change") as refused:
        update(of(1), of(3))
    said = str(refused.value)
    assert "from 1 voters (0@kafka-0.kafka-headless.data.svc.cluster.local:9093) to 3 (" in said
    assert "Set millrace:kafka.controllers (or, when it is 0, brokers) back" in said


@pytest.mark.parametrize(
    "change",
    [
        lambda: platforms.kafka_of_three(retention_hours=24),
        lambda: platforms.kafka(
            brokers=nodes(5),
            controllers=nodes(3),
            replication_factor=3,
            min_insync_replicas=2,
        ),
    ],
    ids=["another setting", "more brokers beside controllers"],
)
def test_an_update_that_leaves_the_quorum_alone_goes_through(change: Callable[[], Kafka]) -> None:
    update(platforms.recorded("Kafka of three"), record(change))


def test_a_preview_refuses_as_well() -> None:
    hooks: dict[str, Any] = platforms.recorded("Kafka").hooks
    assert [hook.opts.on_dry_run for hook in hooks.values()] == [True]


@pytest.mark.parametrize("name", ["kafka", "kafka-controller"])
def test_no_node_is_touched_before_the_quorum_was_accepted(name: str) -> None:
    recording = platforms.recorded("Kafka of three")
    config = recording.one("ConfigMap", f"{name}-config")
    assert config.urn in recording.one("StatefulSet", name).dependencies
