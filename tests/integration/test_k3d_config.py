"""dev's cluster config, read by the real k3d binary: its schema, not ours, says what is valid."""

import string
import subprocess
from pathlib import Path

import yaml

from bootstrap.checkout import Checkout, find_checkout
from bootstrap.cluster.k3d import config_environment, config_path
from bootstrap.cluster.node import NODE_PORTS
from bootstrap.tools import K3D, tool_path


def read_by_k3d(checkout: Checkout, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    binary = tool_path(checkout, K3D)
    assert binary.exists(), "k3d is not built yet: run make images"
    # k3d fills the variables in itself when it creates a cluster, and only then.
    filled = string.Template(text).substitute(config_environment(checkout))
    config = folder / "k3d.yaml"
    config.write_text(filled)
    return subprocess.run(
        [str(binary), "config", "migrate", str(config), str(folder / "read.yaml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_k3d_takes_the_config(tmp_path: Path) -> None:
    checkout = find_checkout()
    done = read_by_k3d(checkout, config_path(checkout).read_text(), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    read = yaml.safe_load((tmp_path / "read.yaml").read_text())
    assert read["metadata"]["name"] in config_environment(checkout)["MILLRACE_CLUSTER"]
    assert [limit["name"] for limit in read["options"]["runtime"]["ulimits"]] == ["nofile"]
    assert len(read["ports"]) == len(NODE_PORTS)


def test_k3d_refuses_a_mistyped_key(tmp_path: Path) -> None:
    checkout = find_checkout()
    text = config_path(checkout).read_text().replace("servers: 1", "serverss: 1")
    done = read_by_k3d(checkout, text, tmp_path)
    assert done.returncode != 0
    assert "serverss is not allowed" in done.stdout + done.stderr
