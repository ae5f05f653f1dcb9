"""Which zones and hosts replicas share, and how long their start is waited for."""

from typing import Any

import pytest

from components.servers.kafka import cluster as kafka
from components.servers.postgres import server as postgres
from components.servers.redis import server as redis
from infra.model.records import RECORDS
from tests.harness import platforms
from tests.harness.composed import composed
from tests.harness.recording import Recording, record

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


def spread(recording: Recording, kind: str, name: str) -> dict[str, dict[str, Any]]:
    """Topology key to constraint."""
    pod = recording.one(kind, name).inputs["spec"]["template"]["spec"]
    for constraint in pod["topologySpreadConstraints"]:
        assert constraint["labelSelector"] == {"matchLabels": {"app.kubernetes.io/name": name}}
        assert constraint["maxSkew"] == 1
    return {
        constraint["topologyKey"]: constraint for constraint in pod["topologySpreadConstraints"]
    }


def timeout(recording: Recording, kind: str, name: str) -> int:
    annotations = recording.one(kind, name).inputs["metadata"]["annotations"]
    return int(annotations["pulumi.com/timeoutSeconds"])


@pytest.mark.parametrize("nodes", ["kafka", "kafka-controller"])
def test_a_lost_host_takes_no_majority_of_brokers_or_controllers_with_it(nodes: str) -> None:
    host = spread(platforms.recorded("Kafka of three"), "StatefulSet", nodes)[HOST]
    assert host["whenUnsatisfiable"] == "DoNotSchedule"
    assert host["minDomains"] == 3, "two hosts must not do for three replicas"


def test_several_brokers_run_on_one_host_where_the_stack_says_so() -> None:
    recording = record(lambda: platforms.kafka_of_three(one_per_host=False))
    host = spread(recording, "StatefulSet", "kafka")[HOST]
    assert host["whenUnsatisfiable"] == "ScheduleAnyway"
    assert "minDomains" not in host, "the API server takes it with DoNotSchedule only"


def test_a_single_replica_is_never_without_a_place() -> None:
    for shape, name in (("Kafka", "kafka"), ("Postgres", "postgres"), ("Redis", "redis-cache")):
        host = spread(platforms.recorded(shape), "StatefulSet", name)[HOST]
        assert host["whenUnsatisfiable"] == "ScheduleAnyway"


def test_a_rollout_of_a_deployment_finds_room_for_its_extra_pod() -> None:
    host = spread(platforms.recorded("Workload"), "Deployment", "rest-service")[HOST]
    assert host["whenUnsatisfiable"] == "ScheduleAnyway"


@pytest.mark.parametrize(
    ("shape", "kind", "name"),
    [
        ("Kafka of three", "StatefulSet", "kafka"),
        ("Kafka of three", "StatefulSet", "kafka-controller"),
        ("Workload", "Deployment", "rest-service"),
    ],
)
def test_replicas_prefer_zones_of_their_own_and_start_without_any(
    shape: str, kind: str, name: str
) -> None:
    zone = spread(platforms.recorded(shape), kind, name)[ZONE]
    assert zone["whenUnsatisfiable"] == "ScheduleAnyway"


def test_production_keeps_brokers_and_controllers_on_hosts_of_their_own() -> None:
    for nodes in ("kafka", "kafka-controller"):
        host = spread(composed("prod"), "StatefulSet", nodes)[HOST]
        assert (host["whenUnsatisfiable"], host["minDomains"]) == ("DoNotSchedule", 3)


@pytest.mark.parametrize(
    ("shape", "name", "startup"),
    [
        ("Kafka", "kafka", kafka._STARTUP_SECONDS),
        ("Postgres", "postgres", postgres._STARTUP_SECONDS),
        ("Redis", "redis-cache", redis._STARTUP_SECONDS),
    ],
)
def test_pulumi_waits_as_long_as_a_server_may_take_to_start(
    shape: str, name: str, startup: int
) -> None:
    recording = platforms.recorded(shape)
    assert timeout(recording, "StatefulSet", name) > startup
    assert timeout(recording, "Service", name) > startup, "it waits for the first ready pod"


def test_pulumi_waits_for_each_replica_of_a_rollout_in_turn() -> None:
    assert timeout(platforms.recorded("Kafka of three"), "StatefulSet", "kafka") > 3 * 1800


def test_a_deployment_has_not_failed_while_its_pods_may_still_be_starting() -> None:
    recording = record(lambda: platforms.workload(startup_seconds=900, replicas=3))
    assert timeout(recording, "Deployment", "rest-service") > 3 * 900
    assert timeout(recording, "Service", "rest-service") > 3 * 900
    spec = recording.one("Deployment", "rest-service").inputs["spec"]
    assert spec["progressDeadlineSeconds"] > 900


def test_migrations_have_the_time_the_stack_gives_them() -> None:
    jobs = {job.name: job for job in composed("prod").kubernetes() if job.kind == "Job"}
    for database in RECORDS.databases(server="postgres"):
        job = jobs[f"migrate-{database}"]
        assert job.inputs["spec"]["activeDeadlineSeconds"] == 3600
        assert int(job.inputs["metadata"]["annotations"]["pulumi.com/timeoutSeconds"]) > 3600
