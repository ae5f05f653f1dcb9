import os
import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from docker.errors import APIError

from bootstrap.checkout import Checkout, find_checkout
from bootstrap.cluster import k3d
from bootstrap.cluster.node import published_ports
from bootstrap.tools import K3D

REPOSITORY = find_checkout(os.environ).root

KUBECONFIG = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: azNkLW1pbGxyYWNl
    server: https://127.0.0.1:30443
  name: k3d-millrace-0011aabb
contexts:
- context:
    cluster: k3d-millrace-0011aabb
    user: admin@k3d-millrace-0011aabb
  name: k3d-millrace-0011aabb
current-context: k3d-millrace-0011aabb
kind: Config
users:
- name: admin@k3d-millrace-0011aabb
  user: {}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path, tmp_path / "cache")


def filled_in(checkout: Checkout) -> Any:
    """The committed config as k3d sees it; fails on a variable that nobody gives."""
    text = (REPOSITORY / "bootstrap" / "k3d.yaml").read_text()
    return yaml.safe_load(string.Template(text).substitute(k3d.config_environment(checkout)))


def test_the_config_publishes_what_the_airgap_node_publishes(checkout: Checkout) -> None:
    shifted = replace(checkout, port_offset=100)
    config = filled_in(shifted)
    bound = [str(entry["port"]).split(":") for entry in config["ports"]]

    assert {f"{inside}/tcp": int(host) for _, host, inside in bound} == {
        inside: host for inside, host in published_ports(shifted).items() if inside != "6443/tcp"
    }
    assert {address for address, _, _ in bound} == {"127.0.0.1"}
    assert config["kubeAPI"]["hostPort"] == str(shifted.port("kubernetes"))
    assert config["registries"]["create"]["hostPort"] == str(shifted.port("registry"))


def test_pods_may_use_the_name_that_this_machine_pushes_to(checkout: Checkout) -> None:
    mirrors = yaml.safe_load(filled_in(checkout)["registries"]["config"])["mirrors"]

    assert mirrors == {
        checkout.registry: {"endpoint": [f"http://{checkout.name('registry')}:5000"]}
    }


def test_the_image_that_is_asked_for_is_the_one_that_is_started(checkout: Checkout) -> None:
    config = filled_in(checkout)
    assert config["image"] == k3d.K3S_IMAGE
    assert config["registries"]["create"]["image"] == k3d.REGISTRY_IMAGE
    assert config["options"]["k3d"]["disableLoadbalancer"], "else k3d-proxy belongs to IMAGES"


def test_dev_is_offered_only_where_each_image_can_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """k3d pulls a tools image from a registry of its own, and gives up without it."""
    asked: list[str] = []
    lacking: set[str] = set()

    class Engine:
        """No registry answers where the tests run, so this one says which images there are."""

        api: Any

        def inspect_distribution(self, image: str) -> None:
            asked.append(image)
            if image in lacking:
                raise APIError("manifest unknown")

        def close(self) -> None:
            pass

    engine = Engine()
    engine.api = engine
    monkeypatch.setattr(k3d, "connect", lambda timeout: engine)
    assert k3d.images_reachable()
    assert f"ghcr.io/k3d-io/k3d-tools:{K3D.version}" in asked
    for image in k3d.IMAGES:
        lacking = {image}
        assert not k3d.images_reachable()


def test_the_kubelet_runs_on_control_groups_v1_too(checkout: Checkout) -> None:
    arguments = [it["arg"] for it in filled_in(checkout)["options"]["k3s"]["extraArgs"]]
    assert "--kubelet-arg=fail-cgroupv1=false" in arguments


def test_the_users_own_kubeconfig_is_left_alone(checkout: Checkout) -> None:
    assert filled_in(checkout)["options"]["kubeconfig"] == {
        "updateDefaultKubeconfig": False,
        "switchCurrentContext": False,
    }


def test_the_context_is_called_as_on_every_environment() -> None:
    config = yaml.safe_load(k3d.rename_context(KUBECONFIG, "k3d-millrace-0011aabb"))

    assert config["current-context"] == "millrace"
    assert config["contexts"][0]["name"] == "millrace"
    assert config["contexts"][0]["context"] == {
        "cluster": "millrace",
        "user": "admin@k3d-millrace-0011aabb",
    }
    assert config["clusters"][0]["name"] == "millrace"
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:30443"


@pytest.mark.parametrize(
    ("running", "state"), [(1, "running"), (0, "stopped")], ids=["servers up", "servers down"]
)
def test_a_cluster_runs_if_its_servers_do(running: int, state: str) -> None:
    clusters = [
        {"name": "somebody-else", "serversRunning": 1, "serversCount": 1},
        {"name": "millrace-0011aabb", "serversRunning": running, "serversCount": 1},
    ]

    assert k3d.parse_status(clusters, "millrace-0011aabb") == state
    assert k3d.parse_status(clusters, "millrace-ffffffff") == "absent"
