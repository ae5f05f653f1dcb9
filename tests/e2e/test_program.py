"""The Pulumi program against the running cluster, through the CLI as its users know it."""

from pathlib import Path

import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from tests.e2e.cluster import wait_until_settled
from tests.e2e.conftest import Say
from tests.e2e.pulumi import pulumi, stack_name

pytestmark = pytest.mark.usefixtures("settled")

DEPLOYMENT = "outbox-relay-rest"


@pytest.fixture
def mistyped(checkout: Checkout, tmp_path: Path) -> Path:
    """A copy of the stack's file with one key that does not exist."""
    name = f"Pulumi.{stack_name(checkout)}.yaml"
    text = (checkout.root / name).read_text()
    assert "\nconfig:\n" in f"\n{text}", f"{name} has no config table"
    copy = tmp_path / name
    copy.write_text(text.replace("config:\n", "config:\n  millrace:kafak: {}\n", 1))
    return copy


@pytest.mark.timeout(300)
def test_an_unknown_config_key_fails_the_preview_by_name_before_the_cluster_is_touched(
    checkout: Checkout, mistyped: Path, tmp_path: Path
) -> None:
    # A kubeconfig that leads nowhere: whatever asks the cluster would fail with another error.
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text("apiVersion: v1\nkind: Config\n")
    ran = pulumi(
        checkout, "preview", "--config-file", str(mistyped),
        environment={"KUBECONFIG": str(nowhere)},
    )  # fmt: skip
    assert ran.code != 0
    assert "millrace:kafak" in ran.said, ran.tail
    assert mistyped.name in ran.said, ran.tail
    assert "Traceback" not in ran.said, ran.tail


@pytest.mark.timeout(600)
def test_a_second_up_and_a_preview_have_nothing_to_change(checkout: Checkout, say: Say) -> None:
    again = pulumi(checkout, "up", "--yes", "--skip-preview")
    assert again.code == 0, again.tail
    summary = [line.strip() for line in again.said.splitlines() if "unchanged" in line]
    say(f"second up: {'; '.join(summary)}")
    for word in ("created", "updated", "replaced", "deleted"):
        assert f" {word}" not in again.said.partition("Resources:")[2], again.tail
    preview = pulumi(checkout, "preview", "--expect-no-changes")
    assert preview.code == 0, preview.tail
    say("preview --expect-no-changes: exit 0")


@pytest.mark.timeout(600)
def test_a_deployment_deleted_by_hand_comes_back_with_refresh_and_up(
    checkout: Checkout, kube: Kube, say: Say
) -> None:
    kube.run("delete", "deployment", DEPLOYMENT, "-n", "apps", "--wait=true", timeout=90)
    assert DEPLOYMENT not in names(kube)
    refreshed = pulumi(checkout, "refresh", "--yes", "--skip-preview")
    assert refreshed.code == 0, refreshed.tail
    up = pulumi(checkout, "up", "--yes", "--skip-preview")
    assert up.code == 0, up.tail
    assert DEPLOYMENT in names(kube)
    wait_until_settled(kube, seconds=60)
    say(f"{DEPLOYMENT} deleted by hand; refresh and up made it again")
    preview = pulumi(checkout, "preview", "--expect-no-changes")
    assert preview.code == 0, preview.tail


def names(kube: Kube) -> set[str]:
    return {item["metadata"]["name"] for item in kube.items("deployments", "apps")}
