"""A way into the cluster is kubectl's, lasts as long as it is needed, and its absence is said."""

import os
import time
from pathlib import Path

import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import KubeError
from operations.clusters import Elsewhere
from operations.dashboard import address
from operations.forwarding import forwarded


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name, first on PATH; it notes what it is asked and who it is."""
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


def says(program: Path, line: str) -> None:
    program.write_text(f'#!/bin/sh\necho "$@" >{program}.asked\necho $$ >{program}.pid\n{line}\n')
    program.chmod(0o755)


def test_the_port_is_the_one_that_kubectl_names_and_it_ends_with_the_context(kubectl: Path):
    says(kubectl, 'echo "Forwarding from 127.0.0.1:40123 -> 9090"\nexec sleep 60')
    kube = Elsewhere(Checkout(kubectl.parent, kubectl.parent), "there")
    with forwarded(kube, "monitoring", "service/prometheus", 9090) as port:
        assert port == 40123
        pid = int(Path(f"{kubectl}.pid").read_text())
    assert Path(f"{kubectl}.asked").read_text().split() == [
        *("--context", "there", "port-forward", "-n", "monitoring"),
        *("service/prometheus", ":9090"),
    ]
    time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_no_way_is_said_with_what_was_looked_for(kubectl: Path):
    says(kubectl, 'echo "error: services \\"prometheus\\" not found" >&2; exit 1')
    kube = Elsewhere(Checkout(kubectl.parent, kubectl.parent), "there")
    with (
        pytest.raises(KubeError, match="no way to service/prometheus port 9090 in monitoring"),
        forwarded(kube, "monitoring", "service/prometheus", 9090),
    ):
        pass


def test_of_a_stack_elsewhere_prometheus_is_found_behind_kubectl(kubectl: Path, tmp_path: Path):
    says(
        kubectl,
        'case "$*" in *configmap*) echo \'{"data": {"ca.crt": "PEM"}}\'; exit;; esac\n'
        'echo "Forwarding from 127.0.0.1:40124 -> 9090"\nexec sleep 60',
    )
    there = {"STACK": "prod", "KUBECONFIG": str(tmp_path / "config")}
    with address.found("", there) as where:
        assert where == address.Where("https://localhost:40124", "PEM")
    assert "--context millrace-prod" in Path(f"{kubectl}.asked").read_text()
