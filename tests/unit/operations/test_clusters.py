"""Which cluster a command goes to."""

from pathlib import Path

import pytest

from bootstrap.checkout import find_checkout, save_context
from operations import clusters
from operations.request import RefusedError

PROD = "config:\n  millrace:kubernetes:\n    context: millrace-prod\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    checkout = find_checkout({})
    monkeypatch.setattr(clusters, "find_checkout", lambda _: type(checkout)(tmp_path, tmp_path))
    (tmp_path / "Pulumi.prod.yaml").write_text(PROD)
    (tmp_path / ".millrace").mkdir()
    return tmp_path


@pytest.mark.parametrize("stack", ["", "dev", "airgap", "mine"])
def test_without_a_stack_or_with_one_that_make_runs_it_is_the_checkouts_own(root: Path, stack: str):
    save_context(clusters.find_checkout({}), stack="mine")
    kube = clusters.chosen({"STACK": stack, "KUBECONFIG": "/elsewhere"})
    assert not isinstance(kube, clusters.Elsewhere)


def test_another_stack_is_where_its_context_leads_and_never_the_current_one(root: Path):
    kube = clusters.chosen({"STACK": "prod", "KUBECONFIG": "/a:/b"})
    assert kube.command("get", "pods") == ["kubectl", "--context", "millrace-prod", "get", "pods"]


def test_what_a_clouds_login_needs_reaches_kubectl(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_PROFILE", "ours")
    kube = clusters.chosen({"STACK": "prod", "KUBECONFIG": "/a"})
    assert kube.environment()["AWS_PROFILE"] == "ours"


@pytest.mark.parametrize(
    ("stack", "kubeconfig", "said"),
    [
        ("prod", "", "set KUBECONFIG to a file with the context millrace-prod"),
        ("prod", "{root}/.millrace/kubeconfig", "that of the local cluster"),
        ("prdo", "/a", "Pulumi.prdo.yaml is missing"),
        ("bare", "/a", "names no cluster"),
    ],
)
def test_what_would_be_a_guess_is_refused(root: Path, stack: str, kubeconfig: str, said: str):
    (root / "Pulumi.bare.yaml").write_text("config: {}\n")
    with pytest.raises(RefusedError, match=said):
        clusters.chosen({"STACK": stack, "KUBECONFIG": kubeconfig.format(root=root)})
