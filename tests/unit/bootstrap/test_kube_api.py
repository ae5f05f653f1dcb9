"""The API is reached by a socket of our own, for as long as it is needed."""

import os
import stat
from pathlib import Path

import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import KubeError
from bootstrap.kube_api import kubernetes_api
from operations.clusters import Elsewhere
from tests.harness.proxying import proxying_kubectl


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "kubectl"


def of(program: Path) -> Elsewhere:
    return Elsewhere(Checkout(program.parent, program.parent), "there")


def test_what_kubectl_leads_to_answers_and_is_gone_afterwards(program: Path):
    proxying_kubectl(program, {"/api": (200, "{}")})
    with kubernetes_api(of(program)) as api:
        assert api.get("/api").json() == {}
        assert api.get("/other").status_code == 404
        said = Path(f"{program}.asked").read_text().split()
        socket = Path(said[-1].removeprefix("--unix-socket="))
        assert said[:-1] == ["--context", "there", "proxy"]
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        pid = int(Path(f"{program}.pid").read_text())
    assert not socket.parent.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_without_a_way_it_says_what_kubectl_said(program: Path):
    program.write_text("#!/bin/sh\necho 'error: context there does not exist'; exit 1\n")
    program.chmod(0o755)
    with (
        pytest.raises(KubeError, match="context there does not exist"),
        kubernetes_api(of(program)),
    ):
        pass
