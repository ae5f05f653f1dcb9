"""Bad arguments: each refused before anything is made, with field, reason and way out."""

import re
from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from pydantic import ValidationError

from components.kit import containers, hashing
from components.kit.args import Args, Mount, Resources, Storage
from components.kit.names import check_name
from components.kit.quantities import amount, mebibytes
from components.security.namespaces import NamespacesArgs
from components.workloads.ports import Port
from components.workloads.scaling import Scale
from tests.harness import platforms
from tests.harness.platforms import files, nodes, redis_user
from tests.harness.recording import record

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "an image by latest": (
        lambda: platforms.workload(image="registry.example/services:latest"),
        "services:latest' means another image tomorrow.*name a digest",
    ),
    "an image without tag or digest": (
        lambda: platforms.job(image="registry.example:5000/services"),
        "5000/services' means another image tomorrow",
    ),
    "a memory limit below its request": (
        lambda: Resources(
            cpu_request="1", cpu_limit="1", memory_request="1Gi", memory_limit="512Mi"
        ),
        r"memory_limit \(512Mi\) is below memory_request \(1Gi\).*raise the limit",
    ),
    "a cpu limit below its request": (
        lambda: Resources(
            cpu_request="1", cpu_limit="999m", memory_request="1Gi", memory_limit="1Gi"
        ),
        r"cpu_limit \(999m\) is below cpu_request",
    ),
    "something that is no quantity": (
        lambda: Storage(size="5 GB"),
        "'5 GB' is not a Kubernetes quantity; write",
    ),
    "an unknown argument": (lambda: platforms.workload(replica=3), "replica\n.*not permitted"),
    "a node port outside of the range": (
        lambda: platforms.workload(ports=(Port(name="http", number=8080, outside=8080),)),
        "port http: outside is 8080, but node ports are from 30000 to 32767",
    ),
    "an entry that leads nowhere": (
        lambda: platforms.workload(ports=(Port(name="http", number=8080),)),
        "entry and the ports' `outside` go together",
    ),
    "a port outside that nothing publishes": (
        lambda: platforms.workload(entry=None),
        "entry and the ports' `outside` go together",
    ),
    "two ports of one number": (
        lambda: platforms.workload(
            entry=None, ports=(Port(name="http", number=8080), Port(name="admin", number=8080))
        ),
        r"the same number \(8080, 8080\)",
    ),
    "probes of a port that is not there": (
        lambda: platforms.workload(health_port="grpc"),
        "health_port is grpc.*use one of http",
    ),
    "a range of one": (lambda: Scale(min=2, max=2), r"max \(2\) is not above min \(2\)"),
    "a range that a drain could empty": (
        lambda: Scale(min=1, max=3),
        "min is 1.*lets one pod go.*set min to 2",
    ),
    "a budget as high as the range's lower end": (
        lambda: platforms.workload(replicas=Scale(min=2, max=5), min_available=2),
        "min_available is 2 of 2 replicas",
    ),
    "a sidecar called like the service": (
        lambda: record(
            lambda: platforms.workload(sidecars=(platforms.sidecar(name="rest-service"),))
        ),
        "two containers of rest-service have the same name",
    ),
    "a sidecar's secret in a variable": (
        lambda: record(
            lambda: platforms.workload(sidecars=(platforms.sidecar(env={"API_TOKEN": "x"}),))
        ),
        "env API_TOKEN would put a secret",
    ),
    "a sidecar's mount over the service's": (
        lambda: record(
            lambda: platforms.workload(
                sidecars=(
                    platforms.sidecar(
                        mounts=(Mount(files=platforms.files(), path="/etc/millrace/ca"),)
                    ),
                )
            )
        ),
        "mounts has /etc/millrace/ca twice",
    ),
    "a grace period the drain uses up": (
        lambda: platforms.workload(drain_seconds=30, termination_grace_seconds=30),
        r"termination_grace_seconds \(30\) leaves no time.*raise",
    ),
    "a budget that no drain can meet": (
        lambda: platforms.workload(replicas=3, min_available=3),
        "min_available is 3 of 3 replicas.*set it from 1 to",
    ),
    "a budget on one replica": (
        lambda: platforms.workload(replicas=1, min_available=1),
        "min_available is 1 of 1 replicas",
    ),
    "liveness tied to readiness": (
        lambda: platforms.workload(liveness_path="/ready"),
        "both /ready, so a database outage would restart every pod",
    ),
    "a password in the environment": (
        lambda: platforms.workload(env={"DATABASE_PASSWORD": "x"}),
        "DATABASE_PASSWORD would put a secret.*DATABASE_PASSWORD_FILE",
    ),
    "a password in a Job's environment": (
        lambda: platforms.job(env={"API_TOKEN": "x"}),
        "API_TOKEN would put a secret",
    ),
    "a variable the builder sets": (
        lambda: platforms.workload(env={"HTTP_PORT": "80"}),
        "env has HTTP_PORT, which the builder sets itself",
    ),
    "a pod's name in a variable that the builder sets": (
        lambda: platforms.workload(pod_name_env=("SERVICE_NAME",)),
        "env has SERVICE_NAME twice",
    ),
    "a pod's name in a port's variable": (
        lambda: platforms.workload(pod_name_env=("HTTP_PORT",)),
        "env has HTTP_PORT twice",
    ),
    "a port's name in capitals": (
        lambda: Port(name="Http", number=8080),
        "'Http' is no name of a port.*use at most 15",
    ),
    "a port's name with two hyphens in a row": (
        lambda: Port(name="a--b", number=8080),
        "'a--b' is no name of a port",
    ),
    "a port for the privileged": (
        lambda: Port(name="http", number=80),
        "80 is no port that a process without privileges can listen on; use one from 1024 to",
    ),
    "a Redis user of keys that end alike": (lambda: redis_user(keys=("*:x",)), r"has '\*:x'"),
    "a variable set twice": (
        lambda: platforms.workload(env={"RELAY_ID": "relay-7"}),
        "env has RELAY_ID",
    ),
    "two mounts in one place": (
        lambda: platforms.workload(
            mounts=(
                Mount(files=files(), path="/etc/millrace/x"),
                Mount(files=files(), path="/etc/millrace/x"),
            )
        ),
        "mounts has /etc/millrace/x twice.*own path",
    ),
    "a uid of the node": (lambda: record(lambda: platforms.job(uid=1000)), "uid 1000 may belong"),
    "a name too long for its labels": (
        lambda: check_name("a" * 53),
        "has 53 characters.*shorten it to 52",
    ),
    "a name that is no DNS label": (lambda: check_name("Rest_Service"), "not a DNS label.*use"),
    "the cluster's own namespaces": (
        lambda: NamespacesArgs(names=("data", "kube-system")),
        "'kube-system', which belongs to the cluster",
    ),
    "an unpinned Pod Security version": (
        lambda: NamespacesArgs(names=("data",), pod_security_version="latest"),
        "pod_security_version",
    ),
    "a certificate renewed on every run": (
        lambda: record(lambda: platforms.certificate(validity_days=30, renew_before_days=30)),
        "renew_before_days is 30 of validity_days 30.*below validity_days",
    ),
    "a CA never renewed in time": (
        lambda: record(lambda: platforms.authority(renew_before_days=0)),
        "renew_before_days is 0",
    ),
    "a server certificate without names": (
        lambda: record(lambda: platforms.certificate(dns_names=())),
        "dns_names is empty.*name the Service",
    ),
    "a password that can be guessed": (lambda: record(lambda: platforms.password(length=8)), "24"),
    "an even quorum": (
        lambda: record(lambda: platforms.kafka(brokers=nodes(2))),
        "brokers is 2: an even quorum tolerates no more failures than 1.*set brokers to 1 or 3",
    ),
    "an even quorum of dedicated controllers": (
        lambda: record(lambda: platforms.kafka(brokers=nodes(3), controllers=nodes(4))),
        "controllers is 4: an even quorum",
    ),
    "more replicas of a topic than brokers": (
        lambda: record(lambda: platforms.kafka(replication_factor=3)),
        r"replication_factor \(3\) is above brokers \(1\)",
    ),
    "writes that stop with one broker": (
        lambda: record(
            lambda: platforms.kafka(brokers=nodes(3), replication_factor=3, min_insync_replicas=3)
        ),
        r"min_insync_replicas \(3\) leaves no broker to restart with replication_factor 3",
    ),
    "a heap that fills the container": (
        lambda: nodes(heap="1000Mi"),
        r"heap \(1000Mi\) is more than 75% of memory_limit \(1Gi\).*lower heap or raise",
    ),
    "buffers that fill the container": (
        lambda: record(lambda: platforms.postgres(shared_buffers="600Mi")),
        r"shared_buffers \(600Mi\) is more than 50%",
    ),
    "a cache that fills the container": (
        lambda: record(lambda: platforms.redis(max_memory="1Gi")),
        r"max_memory \(1Gi\) is more than 75%",
    ),
    "a store that evicts": (
        lambda: record(lambda: platforms.redis(storage=platforms.STORAGE)),
        "eviction is allkeys-lru with storage.*noeviction",
    ),
    "a Redis user of all keys": (lambda: redis_user(keys=("*",)), r"has '\*'.*prefixes"),
    "a Redis user of all commands": (
        lambda: redis_user(commands=("@all",)),
        "'@all', which reaches beyond its own keys; name the commands",
    ),
    "an ACL rule in disguise": (
        lambda: redis_user(keys=("a ~*",)),
        "'a ~\\*', which would read as another ACL rule",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_refuses(what: str) -> None:
    build, sentence = REFUSED[what]
    with pytest.raises((ValidationError, ValueError)) as caught:
        build()
    assert re.search(sentence, str(caught.value), re.DOTALL), str(caught.value)


def test_a_workload_of_a_wrong_image_known_only_later_fails_too() -> None:
    late = pulumi.Output.from_input("registry.example/services:latest")
    with pytest.raises(ValueError, match="means another image tomorrow"):
        record(lambda: platforms.workload(image=late))


def test_an_error_of_a_name_comes_before_any_resource() -> None:
    def program() -> None:
        platforms.Workload("Not_A_Label", args)

    args = platforms.WorkloadArgs(
        namespace="apps",
        image=platforms.image("services"),
        command=("true",),
        resources=platforms.SIZE,
        ca=files(),
    )
    with pytest.raises(ValueError, match="not a DNS label"):
        record(program)


@pytest.mark.parametrize(
    ("quantity", "base"), [("250m", 0.25), ("2", 2), ("512Mi", 512 * 2**20), ("1.5Gi", 1.5 * 2**30)]
)
def test_quantities_are_read_in_base_units(quantity: str, base: float) -> None:
    assert amount(quantity) == pytest.approx(base)


def test_mebibytes_are_rounded_down() -> None:
    assert (mebibytes("1Gi"), mebibytes("1G"), mebibytes("1023Ki")) == (1024, 953, 0)


def test_arguments_are_frozen_and_never_show_a_secret() -> None:
    user = redis_user()
    with pytest.raises(ValidationError, match="frozen"):
        user.name = "other"
    assert "opensesame" not in repr(user)


def test_every_arguments_class_refuses_unknown_keys() -> None:
    pending, classes = [Args], set[type[Args]]()
    while pending:
        found = pending.pop()
        classes.add(found)
        pending += found.__subclasses__()
    assert len(classes) > 12
    for found in classes:
        assert found.model_config.get("extra") == "forbid"
        assert found.model_config.get("frozen")


def test_hashing_sees_every_part_of_nested_arguments() -> None:
    assert hashing.plain(containers.security())["capabilities"]["drop"] == ["ALL"]
