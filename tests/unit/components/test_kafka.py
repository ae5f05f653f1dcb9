"""Kafka: quorum, listeners, identities, storage and the way nodes start and stop."""

import base64
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from components.servers.kafka import config as kafka_config
from components.servers.kafka import scripts as kafka_scripts
from tests.harness import platforms
from tests.harness.checks import properties
from tests.harness.recording import Recording, record

COMBINED, SEPARATE = "Kafka", "Kafka of three"


def config(shape: str, nodes: str = "kafka") -> dict[str, str]:
    text = platforms.recorded(shape).one("ConfigMap", f"{nodes}-config").inputs["data"]
    return properties(text["server.properties"])


def container(recording: Recording, nodes: str = "kafka") -> dict[str, Any]:
    spec = recording.one("StatefulSet", nodes).inputs["spec"]["template"]["spec"]
    return spec["containers"][0]


def variables(recording: Recording, nodes: str = "kafka") -> dict[str, str]:
    return {v["name"]: v.get("value", "") for v in container(recording, nodes)["env"]}


def test_one_node_is_broker_and_controller_and_votes_for_itself() -> None:
    found = config(COMBINED)
    assert found["process.roles"] == "broker,controller"
    assert (
        found["controller.quorum.voters"] == "0@kafka-0.kafka-headless.data.svc.cluster.local:9093"
    )
    assert [s.name for s in platforms.recorded(COMBINED).of("StatefulSet")] == ["kafka"]


def test_a_lone_node_does_not_wait_long_for_its_own_session_and_several_do_not_flap() -> None:
    found = config(COMBINED)
    session, beat = (
        int(found[f"broker.{key}.ms"]) for key in ("session.timeout", "heartbeat.interval")
    )
    assert session <= 3000
    assert beat * 3 <= session, "one late heartbeat must not fence the broker"
    for nodes in ("kafka", "kafka-controller"):
        assert "broker.session.timeout.ms" not in config(SEPARATE, nodes), "Kafka's own default"


def test_three_dedicated_controllers_vote_and_brokers_know_them() -> None:
    voters = config(SEPARATE, "kafka-controller")["controller.quorum.voters"]
    assert voters.split(",")[2] == (
        "102@kafka-controller-2.kafka-controller-headless.data.svc.cluster.local:9093"
    )
    assert config(SEPARATE)["controller.quorum.voters"] == voters
    assert config(SEPARATE)["process.roles"] == "broker"
    assert config(SEPARATE, "kafka-controller")["process.roles"] == "controller"


def test_no_two_nodes_share_an_id() -> None:
    recording = platforms.recorded(SEPARATE)
    first = [variables(recording, n)["FIRST_NODE_ID"] for n in ("kafka", "kafka-controller")]
    assert first == ["0", "100"]


def test_all_nodes_belong_to_one_cluster_and_keep_its_id_between_runs() -> None:
    ids = {
        variables(platforms.recorded(SEPARATE), nodes)["CLUSTER_ID"]
        for nodes in ("kafka", "kafka-controller")
    }
    assert len(ids) == 1
    again = kafka_config.cluster_id("project", "stack", "data", "kafka")
    assert again == kafka_config.cluster_id("project", "stack", "data", "kafka")
    assert len(base64.urlsafe_b64decode(again + "==")) == 16
    assert again != kafka_config.cluster_id("project", "other", "data", "kafka")


def test_a_group_opens_only_the_listeners_of_its_role() -> None:
    names = {
        shape: [pair.partition(":")[0] for pair in config(*shape)["listeners"].split(",")]
        for shape in ((COMBINED, "kafka"), (SEPARATE, "kafka"), (SEPARATE, "kafka-controller"))
    }
    assert names[(COMBINED, "kafka")] == ["CLIENT", "CONTROLLER", "INTERNAL"]
    assert names[(SEPARATE, "kafka")] == ["CLIENT", "INTERNAL"]
    assert names[(SEPARATE, "kafka-controller")] == ["CONTROLLER"]


def test_clients_authenticate_with_scram_over_tls_and_nodes_with_certificates() -> None:
    found = config(COMBINED)
    assert found["listener.security.protocol.map"] == "CLIENT:SASL_SSL,CONTROLLER:SSL,INTERNAL:SSL"
    assert found["listener.name.client.sasl.enabled.mechanisms"] == "SCRAM-SHA-512,SCRAM-SHA-256"
    for mechanism in ("scram-sha-512", "scram-sha-256"):
        assert "ScramLoginModule" in found[f"listener.name.client.{mechanism}.sasl.jaas.config"]
    assert found["ssl.client.auth"] == "required"
    assert found["inter.broker.listener.name"] == "INTERNAL"


def test_only_nodes_and_the_admin_are_super_users_known_by_their_certificates() -> None:
    recording = platforms.recorded(COMBINED)
    requests = {r.name: r.inputs["subject"]["commonName"] for r in recording.of("CertRequest")}
    assert requests == {"kafka-tls-request": "broker", "kafka-admin-tls-request": "admin"}
    assert config(COMBINED)["super.users"] == "User:broker;User:admin"
    assert config(COMBINED)["ssl.principal.mapping.rules"].startswith("RULE:^CN=([^,]+)")


def test_the_admins_certificate_cannot_pose_as_a_server() -> None:
    signed = platforms.recorded(COMBINED).one("LocallySignedCert", "kafka-admin-tls").inputs
    assert "server_auth" not in signed["allowedUses"]


def test_nothing_is_created_or_allowed_by_accident() -> None:
    found = config(COMBINED)
    assert found["auto.create.topics.enable"] == "false"
    assert found["allow.everyone.if.no.acl.found"] == "false"
    assert found["unclean.leader.election.enable"] == "false"


@pytest.mark.parametrize(
    ("shape", "copies", "in_sync"), [(COMBINED, "1", "1"), (SEPARATE, "3", "2")]
)
def test_internal_topics_are_as_durable_as_the_others(
    shape: str, copies: str, in_sync: str
) -> None:
    found = config(shape)
    for key in (
        "default.replication.factor",
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
    ):
        assert found[key] == copies
    for key in ("min.insync.replicas", "transaction.state.log.min.isr"):
        assert found[key] == in_sync
    assert found["log.retention.hours"] == "168"


def test_certificates_name_the_service_and_every_node() -> None:
    names = platforms.recorded(SEPARATE).one("CertRequest", "kafka-tls-request").inputs["dnsNames"]
    assert {
        "kafka.data.svc",
        "kafka.data.svc.cluster.local",
        "*.kafka-headless.data.svc.cluster.local",
        "*.kafka-controller-headless.data.svc.cluster.local",
    } <= set(names)


def test_nodes_find_each_other_before_they_are_ready() -> None:
    for service in platforms.recorded(SEPARATE).of("Service"):
        spec = service.inputs["spec"]
        if service.name.endswith("-headless"):
            assert spec["clusterIP"] == "None"
            assert spec["publishNotReadyAddresses"] is True
        else:
            assert spec["publishNotReadyAddresses"] is True, "a broker that catches up serves"


def test_clients_and_administration_are_told_where_the_brokers_are() -> None:
    outputs = platforms.recorded(SEPARATE).one("Kafka", "kafka").outputs
    assert outputs is not None
    assert outputs["bootstrap_servers"] == "kafka.data.svc:9092"
    assert outputs["admin_servers"].split(",")[2] == (
        "kafka-2.kafka-headless.data.svc.cluster.local:9094"
    )


def test_the_data_lies_where_the_official_image_declares_its_volume() -> None:
    """Anywhere else, containerd would mount an empty volume over it."""
    mounts = container(platforms.recorded(COMBINED))["volumeMounts"]
    assert {m["name"]: m["mountPath"] for m in mounts}["data"] == "/var/lib/kafka/data"
    assert config(COMBINED)["log.dirs"].startswith("/var/lib/kafka/data/")


def test_a_killed_broker_gets_half_an_hour_to_read_its_log() -> None:
    startup = container(platforms.recorded(COMBINED))["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 1800


def test_a_stopping_broker_hands_its_partitions_over_and_the_next_waits_for_it() -> None:
    spec = platforms.recorded(SEPARATE).one("StatefulSet", "kafka").inputs["spec"]
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] >= 60
    assert spec["minReadySeconds"] > 0


def test_controllers_probe_their_own_port() -> None:
    recording = platforms.recorded(SEPARATE)
    assert variables(recording, "kafka-controller")["PROBE_PORT"] == "9093"
    assert variables(recording)["PROBE_PORT"] == "9094"


def test_the_heap_is_what_was_asked_for() -> None:
    recording = record(lambda: platforms.kafka(brokers=platforms.nodes(heap="700Mi")))
    assert variables(recording)["HEAP_MEBIBYTES"] == "700"


def test_a_changed_setting_rolls_the_nodes() -> None:
    def rolled(hours: int) -> str:
        spec = record(lambda: platforms.kafka(retention_hours=hours)).of("StatefulSet")[0].inputs
        return spec["spec"]["template"]["metadata"]["annotations"]["millrace.dev/config-hash"]

    assert rolled(24) != rolled(48)


class FakeHost:
    """start.sh in a folder of its own, with a `java` that writes down how it was called."""

    def __init__(self, folder: Path) -> None:
        self.data, self.calls = folder / "data", folder / "calls"
        config_path = folder / "config"
        for made in (self.data, config_path, folder / "bin", folder / "tmp"):
            made.mkdir()
        java = folder / "bin" / "java"
        java.write_text(
            f'#!/bin/sh\necho "$@" >>{self.calls}\n'
            f'case "$*" in *StorageTool*) mkdir -p {self.data}/kafka;'
            f" touch {self.data}/kafka/meta.properties;; esac\n"
        )
        java.chmod(0o755)
        self.config = config_path / "server.properties"
        self.state = self.data / "kafka" / "__cluster_metadata-0" / "quorum-state"
        self.configure(voters=1)
        self.script = (
            kafka_scripts.scripts()["start.sh"]
            .replace(kafka_config.DATA_PATH, str(self.data))
            .replace(kafka_config.CONFIG_PATH, str(config_path))
            .replace("/tmp/server.properties", str(folder / "tmp" / "server.properties"))
        )
        self.properties = folder / "tmp" / "server.properties"
        self.defaults = {
            "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
            "POD_NAME": "kafka-2",
            "FIRST_NODE_ID": "0",
            "ADVERTISED_DOMAIN": "kafka-headless.data.svc.cluster.local",
            "CLUSTER_ID": "-starts-with-a-dash",
            "HEAP_MEBIBYTES": "512",
            "REPLICATED": "",
        }

    def configure(self, voters: int) -> None:
        named = kafka_config.voters("kafka", "data", voters, first_id=0)
        self.config.write_text(f"controller.quorum.voters={named}\n")

    def start(self, **env: str) -> subprocess.CompletedProcess[str]:
        self.calls.write_text("")
        return subprocess.run(
            ["bash", "-c", self.script],
            env=self.defaults | env,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


def test_a_pod_of_the_version_before_starts_with_the_script_of_this_one(host: FakeHost) -> None:
    # The ConfigMap is new at once, also to a container that restarts before its pod's turn.
    del host.defaults["REPLICATED"]
    assert host.start().returncode == 0
    assert "kafka.Kafka" in host.calls.read_text()


def test_the_first_start_formats_and_later_ones_do_not(host: FakeHost) -> None:
    assert host.start().returncode == 0
    assert "StorageTool format --cluster-id=-starts-with-a-dash" in host.calls.read_text()
    assert host.start().returncode == 0
    assert "StorageTool" not in host.calls.read_text()
    assert "kafka.Kafka" in host.calls.read_text()


def test_a_volume_that_lost_its_log_is_refused(host: FakeHost) -> None:
    host.start()
    (host.data / "kafka" / "meta.properties").unlink()
    refused = host.start()
    assert refused.returncode == 1
    assert host.calls.read_text() == ""
    assert "refusing to start with an empty log. Restore the volume" in refused.stderr


def test_each_node_knows_its_number_and_how_it_is_called(host: FakeHost) -> None:
    host.start()
    found = properties(host.properties.read_text())
    assert found["node.id"] == "2"
    assert found["advertised.listeners"] == (
        "CLIENT://kafka-2.kafka-headless.data.svc.cluster.local:9092,"
        "INTERNAL://kafka-2.kafka-headless.data.svc.cluster.local:9094"
    )


def test_a_controller_advertises_nothing(host: FakeHost) -> None:
    host.start(ADVERTISED_DOMAIN="", FIRST_NODE_ID="100", POD_NAME="kafka-controller-1")
    found = properties(host.properties.read_text())
    assert found["node.id"] == "101"
    assert "advertised.listeners" not in found


def test_a_node_refuses_other_voters_than_its_volume_has(host: FakeHost) -> None:
    """With a volume from before: its mark holds the cluster's id only."""
    host.start()
    host.state.parent.mkdir()
    host.state.write_text('{"leaderId":0,"currentVoters":[{"voterId":0}],"data_version":0}')
    host.configure(voters=3)
    refused = host.start()
    assert refused.returncode == 1
    assert host.calls.read_text() == ""
    assert "has the voters 0, but the configuration has 0 1 2: refusing to start" in refused.stderr
    assert "Set millrace:kafka.controllers (or, when it is 0, brokers) back" in refused.stderr
    host.configure(voters=1)
    assert host.start().returncode == 0


def test_voters_are_the_same_in_any_order(host: FakeHost) -> None:
    host.start()
    host.state.parent.mkdir()
    host.state.write_text('{"currentVoters":[{"voterId":2},{"voterId":0},{"voterId":1}]}')
    host.configure(voters=3)
    assert host.start().returncode == 0


def test_a_volume_that_names_no_voters_is_left_to_kafka(host: FakeHost) -> None:
    host.start()
    host.state.parent.mkdir()
    host.state.write_text('{"leaderId":-1,"data_version":1}')
    assert host.start().returncode == 0


class Waiting:
    """in-sync.sh beside a listening port, with a `java` that gives one answer after the other."""

    def __init__(self, folder: Path, port: int, answers: Sequence[str | None]) -> None:
        for name in ("bin", "answers"):
            (folder / name).mkdir()
        for number, answer in enumerate(answers, start=1):
            if answer is not None:
                (folder / "answers" / str(number)).write_text(answer)
        self.asked, self.flag = folder / "asked", folder / "in-sync"
        self.asked.write_text("")
        programs = {
            "java": f'echo "$@" >>{self.asked}\nexec cat {folder}/answers/$(wc -l <{self.asked})\n',
            "sleep": "exit 0\n",
        }
        for name, text in programs.items():
            (folder / "bin" / name).write_text(f"#!/bin/sh\n{text}")
            (folder / "bin" / name).chmod(0o755)
        self.said = subprocess.run(
            ["bash", "-c", self._script(), "in-sync.sh", "1"],
            env={"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "PROBE_PORT": str(port)},
            capture_output=True,
            text=True,
            check=True,
        ).stderr

    def _script(self) -> str:
        text = kafka_scripts.scripts()["in-sync.sh"]
        return text.replace(kafka_scripts.IN_SYNC_FILE, str(self.flag))

    @property
    def questions(self) -> int:
        return len(self.asked.read_text().splitlines())


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def partition(leader: str, replicas: str, in_sync: str) -> str:
    """A line as kafka-topics prints it."""
    return (
        f"\tTopic: a\tPartition: 0\tLeader: {leader}\tReplicas: {replicas}\tIsr: {in_sync}"
        "\tElr: \tLastKnownElr: \n"
    )


def test_a_broker_waits_until_it_is_in_sync_with_every_leader(tmp_path: Path, port: int) -> None:
    behind = partition("2", "0,1,2", "0,2")
    waited = Waiting(tmp_path, port, [behind + behind, behind, ""])
    assert waited.questions == 3
    assert waited.flag.exists()


@pytest.mark.parametrize(
    "answer",
    [
        partition("1", "0,1,2", "1,2"),
        partition("12", "10,11,12", "12"),
        partition("none", "0,1", "0"),
        "",
    ],
    ids=["another is behind", "numbers that contain its own", "no leader to follow", "none behind"],
)
def test_a_broker_does_not_wait_for_others(tmp_path: Path, port: int, answer: str) -> None:
    waited = Waiting(tmp_path, port, [answer])
    assert waited.questions == 1
    assert waited.flag.exists()


def test_questions_nobody_answers_do_not_keep_a_broker_from_its_clients(
    tmp_path: Path, port: int
) -> None:
    behind = partition("2", "0,1,2", "0,2")
    waited = Waiting(tmp_path, port, [None] * 3 + [behind] + [None] * 10)
    assert waited.questions == 14, "ten in a row"
    assert waited.flag.exists()
    assert "cannot tell whether broker 1 is in sync" in waited.said


def test_only_brokers_that_copy_from_others_wait_and_only_for_readiness() -> None:
    recording = platforms.recorded(SEPARATE)
    broker = container(recording)
    assert broker["readinessProbe"]["exec"]["command"][-1] == kafka_scripts.IN_SYNC_FILE
    assert kafka_scripts.IN_SYNC_FILE not in broker["startupProbe"]["exec"]["command"], (
        "catching up for longer than a start may take must not get it killed"
    )
    assert variables(recording)["REPLICATED"] == "yes"
    for single in (
        container(recording, "kafka-controller"),
        container(platforms.recorded(COMBINED)),
    ):
        assert kafka_scripts.IN_SYNC_FILE not in single["readinessProbe"]["exec"]["command"]
        assert {v["name"]: v.get("value") for v in single["env"]}["REPLICATED"] == ""
