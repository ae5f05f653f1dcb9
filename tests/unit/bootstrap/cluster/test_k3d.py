import os
import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.checkout import Checkout, find_checkout
from bootstrap.cluster import k3d
from bootstrap.cluster.node import published_ports

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
    assert filled_in(checkout)["image"] == k3d.K3S_IMAGE


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
