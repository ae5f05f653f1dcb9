"""The one builder of pods: what every pod has, and what only some ask for."""

from typing import Any

import pulumi
import pytest

from components.kit import containers, hashing, paths, pods, volumes
from components.kit.args import Mount
from components.kit.probes import Probes
from components.servers import server
from components.servers.args import Address, Server, ServerArgs
from tests.harness import platforms
from tests.harness.checks import limited, mounted, policies_hold, probed, tokenless, valid
from tests.harness.platforms import SIZE, files, image
from tests.harness.recording import Recording, record

PASSWORD = Mount(files=files("exporter"), path=paths.secret("exporter"))


def container(name: str, **changes: Any) -> Any:
    return containers.container(name, image=image(name), resources=SIZE, **changes)


def built(*made: Any, **changes: Any) -> dict[str, Any]:
    args = {"containers": made, "volumes": (), "uid": 10001, **changes}
    found = hashing.plain(pods.pod("some", **args))
    return {key: value for key, value in found.items() if value is not None}


class Small(pulumi.ComponentResource):
    """As little as a server can be made of, with an exporter beside it."""

    def __init__(self, password: Mount) -> None:
        super().__init__("millrace:data:Small", "small")
        args = ServerArgs(namespace="data", image=image("small"), authority=platforms.authority())
        self.address: Address = server.serve("small", args, small(password), self)


def small(password: Mount) -> Server:
    exporter = container(
        "exporter",
        args=("--password-file", f"{password.path}/password"),
        ports={"metrics": 9104},
        watched=Probes(port="metrics", startup_seconds=60, readiness_path="/metrics"),
        volumes=[volumes.files(password)],
        sidecar=True,
    )
    return Server(
        component="small",
        uid=10099,
        command=("small",),
        ports={"small": 4000},
        config={"small.conf": "tls = on\n"},
        probes=Probes(port="small", startup_seconds=60, readiness_command=("ready",)),
        data_path="/data",
        storage=None,
        resources=SIZE,
        grace_seconds=30,
        sidecars=(exporter,),
        sidecar_mounts=(password,),
    )


def small_server(password: Mount = PASSWORD) -> Recording:
    return record(lambda: Small(password))


def template(recording: Recording) -> dict[str, Any]:
    return recording.one("StatefulSet", "small").inputs["spec"]["template"]


def test_a_sidecar_starts_before_the_server_and_ends_after_it() -> None:
    """That is what an init container does that is always restarted; others run once, before."""
    spec = template(small_server())["spec"]
    assert [c["name"] for c in spec["containers"]] == ["small"]
    assert [(c["name"], c["restartPolicy"]) for c in spec["initContainers"]] == [
        ("exporter", "Always")
    ]


@pytest.mark.parametrize("check", [limited, mounted, policies_hold, probed, tokenless, valid])
def test_a_server_with_a_sidecar_passes(check: Any) -> None:
    assert list(check(small_server())) == []


def test_what_a_sidecar_reads_is_not_shown_to_the_server_but_rolls_it() -> None:
    made = template(small_server())
    spec = made["spec"]
    assert PASSWORD.path in {m["mountPath"] for m in spec["initContainers"][0]["volumeMounts"]}
    assert PASSWORD.path not in {m["mountPath"] for m in spec["containers"][0]["volumeMounts"]}
    changed = Mount(files=files("exporter", version="2"), path=PASSWORD.path)
    assert template(small_server(changed))["metadata"] != made["metadata"]


def test_an_address_is_known_only_once_the_server_is_ready() -> None:
    def program() -> None:
        address = Small(PASSWORD).address
        platforms.workload(config={"server": address.once("small.data.svc:4000")})

    recording = record(program)
    needed = recording.one("Deployment", "rest-service").dependencies
    assert recording.one("StatefulSet", "small").urn in needed
    assert recording.one("Service", "small").urn in needed


def test_a_token_is_given_to_who_asks_for_it_only() -> None:
    assert built(container("a"))["automount_service_account_token"] is False
    assert built(container("a"), api_token=True)["automount_service_account_token"] is True


def test_a_volume_that_two_containers_share_is_one_volume() -> None:
    shared = volumes.scratch("shared", "/shared", "1Mi")
    both = [container(name, volumes=[shared]) for name in ("a", "b")]
    spec = built(*both, volumes=[shared, shared])
    assert [volume["name"] for volume in spec["volumes"]] == ["shared"]


def test_what_nobody_asks_for_is_left_out() -> None:
    """An empty list would be another manifest than none."""
    assert set(built(container("a"))) == {
        "automount_service_account_token",
        "containers",
        "enable_service_links",
        "security_context",
        "service_account_name",
    }
