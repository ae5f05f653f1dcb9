import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bootstrap.checkout import Checkout
from bootstrap.cluster.node import (
    cgroup_root,
    grantable_capabilities,
    node_environment,
    open_files_limit,
    published_ports,
)
from bootstrap.images.recipes import NODE

START_NODE = (NODE.folder / "start-node").read_text()
TEMPLATES = [
    path
    for path in NODE.folder.iterdir()
    if re.search(r"@[A-Z_]+@", path.read_text()) and path.name != "start-node"
]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path, tmp_path / "cache")


def status(bounding: int) -> str:
    return f"Name:\tx\nCapEff:\t0000000000000000\nCapBnd:\t{bounding:016x}\nCapAmb:\t0\n"


def test_a_capability_that_the_machine_withholds_is_not_asked_for() -> None:
    everything = (1 << 41) - 1
    sys_resource = 1 << 24

    granted = grantable_capabilities(status(everything & ~sys_resource))

    assert "SYS_RESOURCE" not in granted
    assert {"SYS_ADMIN", "NET_ADMIN", "MKNOD", "CHOWN", "AUDIT_READ"} <= set(granted)


def test_capabilities_that_old_engines_do_not_know_are_left_out() -> None:
    granted = grantable_capabilities(status((1 << 41) - 1))

    assert len(granted) == 38
    assert not {"PERFMON", "BPF", "CHECKPOINT_RESTORE"} & set(granted)


def test_a_second_checkout_shifts_host_ports_and_leaves_those_inside(checkout: Checkout) -> None:
    assert published_ports(checkout)["30080/tcp"] == 30080
    assert published_ports(replace(checkout, port_offset=100)) == {
        "30080/tcp": 30180,
        "30081/tcp": 30181,
        "30082/tcp": 30182,
        "30051/tcp": 30151,
        "30090/tcp": 30190,
        "30030/tcp": 30130,
        "6443/tcp": 30543,
    }


def test_two_checkouts_have_control_groups_of_their_own(tmp_path: Path) -> None:
    first, second = (Checkout(tmp_path / name, tmp_path) for name in ("a", "b"))

    assert cgroup_root(first) != cgroup_root(second)


def test_open_files_stay_within_what_the_machine_allows() -> None:
    assert 0 < open_files_limit() <= 1_048_576


def test_everything_the_node_asks_of_its_environment_is_given(checkout: Checkout) -> None:
    asked = re.search(r'^: ((?:"\$\{\w+:\?\}" ?)+)$', START_NODE, re.MULTILINE)

    assert asked is not None
    assert set(re.findall(r"\w+", asked.group(1))) == set(node_environment(checkout, "pause"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_every_blank_of_a_template_is_filled_in(template: Path) -> None:
    blanks = set(re.findall(r"@([A-Z_]+)@", template.read_text()))

    assert blanks <= set(re.findall(r"s\|@([A-Z_]+)@\|", START_NODE))
    assert f"fill_in {template.name} " in START_NODE


@pytest.mark.parametrize("script", ["start-node", "node-certificates"])
def test_the_nodes_scripts_are_valid_bash(script: str) -> None:
    subprocess.run(["bash", "-n", NODE.folder / script], check=True)


def test_the_cluster_starts_with_a_default_storage_class() -> None:
    objects = list(yaml.safe_load_all((NODE.folder / "cluster.yaml").read_text()))
    classes = [item for item in objects if item["kind"] == "StorageClass"]

    assert [item["metadata"]["name"] for item in classes] == ["standard"]
    annotations = classes[0]["metadata"]["annotations"]
    assert annotations["storageclass.kubernetes.io/is-default-class"] == "true"


def test_name_server_and_endpoint_agree_on_ports() -> None:
    objects = list(yaml.safe_load_all((NODE.folder / "cluster.yaml").read_text()))
    service = next(item for item in objects if item["kind"] == "Service")
    endpoints = next(item for item in objects if item["kind"] == "EndpointSlice")

    assert service["spec"]["ports"] == endpoints["ports"]
    assert "selector" not in service["spec"]
    labels = endpoints["metadata"]["labels"]
    assert labels["kubernetes.io/service-name"] == service["metadata"]["name"]


def test_the_issuer_of_certificates_keeps_its_authority_and_its_administrator(
    tmp_path: Path,
) -> None:
    script = NODE.folder / "node-certificates"
    first = [script, tmp_path / "pki", "node", "172.18.0.2", "10.43.0.1"]
    subprocess.run(first, check=True, capture_output=True)
    kept = {name: (tmp_path / "pki" / name).read_text() for name in ("ca.crt", "admin.kubeconfig")}
    server = (tmp_path / "pki" / "kube-apiserver.crt").read_text()

    subprocess.run([*first[:3], "172.18.0.9", "10.43.0.1"], check=True, capture_output=True)

    assert {name: (tmp_path / "pki" / name).read_text() for name in kept} == kept
    assert (tmp_path / "pki" / "kube-apiserver.crt").read_text() != server
    verified = subprocess.run(
        [
            *("openssl", "verify", "-CAfile", tmp_path / "pki" / "ca.crt"),
            *("-verify_ip", "172.18.0.9", tmp_path / "pki" / "kube-apiserver.crt"),
        ],
        check=False,
        capture_output=True,
    )
    assert verified.returncode == 0, verified.stderr
