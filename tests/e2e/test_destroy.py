"""The end: destroy leaves nothing of ours, dev's settings run here too, and up works again.

The last module on purpose: it takes the data with it. Its tests build on each other in order.
"""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests import arrivals, tokens, traffic
from loadtests.outcome import Outcome
from tests.e2e.cluster import NAMESPACES, wait_for, wait_until_settled
from tests.e2e.conftest import Say
from tests.e2e.pulumi import pulumi
from tests.e2e.streams import arrived_in_order, write_now


def left_over(kube: Kube) -> list[str]:
    """Every object in our namespaces, of every kind that can be listed there."""
    kinds = kube.run("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    found: list[str] = []
    for namespace in NAMESPACES:
        found += kube.run(
            *("get", ",".join(kinds), "-n", namespace, "-o", "name", "--ignore-not-found"),
            timeout=120,
        ).split()
    return found


def bound(kube: Kube) -> list[str]:
    """Volumes of claims in our namespaces that should go with them."""
    return [
        volume["metadata"]["name"]
        for volume in kube.items("persistentvolumes")
        if volume["spec"].get("claimRef", {}).get("namespace") in NAMESPACES
        and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        and volume["status"]["phase"] == "Bound"
    ]


def events_flow(checkout: Checkout, kube: Kube, prefix: str, say: Say) -> None:
    wait_until_settled(kube, seconds=180)
    after = arrivals.last_seq(kube)
    # Another platform, which issues its own tokens.
    tokens.forget(checkout)
    with ExitStack() as held:
        # The way to a service that has just begun is there a moment after it.
        wait_for("a client of it", lambda: held.enter_context(tokens.session(checkout)), seconds=60)
        ledger = write_now(checkout, traffic.Stream(prefix, resources=5))
    assert ledger.counts()[Outcome.ACKED] == 25
    arrived_in_order(kube, ledger, prefix, after, seconds=120, say=say)


def destroy_and_look(checkout: Checkout, kube: Kube, *options: str, stack: str | None) -> None:
    destroyed = pulumi(checkout, "destroy", "--yes", "--skip-preview", *options, stack=stack)
    assert destroyed.code == 0, destroyed.tail
    present = {namespace["metadata"]["name"] for namespace in kube.items("namespaces")}
    assert present.isdisjoint(NAMESPACES)
    assert left_over(kube) == []


@pytest.mark.timeout(600)
def test_destroy_leaves_no_object_in_our_namespaces(
    checkout: Checkout, kube: Kube, say: Say
) -> None:
    assert left_over(kube), "the search for objects finds nothing even while the platform runs"
    destroy_and_look(checkout, kube, stack=None)
    # The cluster's controller lets go of them after the claims are gone.
    wait_for("no volume to be bound to a claim of ours", lambda: not bound(kube), seconds=60)
    say("destroy left no object in our namespaces")


@pytest.mark.timeout(900)
def test_the_program_runs_here_with_the_settings_of_dev(
    checkout: Checkout, kube: Kube, prefix: str, tmp_path: Path, say: Say
) -> None:
    """k3d cannot start on every machine; all else of dev can, with this cluster's images."""
    settings = yaml.safe_load((checkout.root / "Pulumi.dev.yaml").read_text())
    settings["config"]["millrace:images"] = {"source": "local"}
    if "loki" not in json.loads(checkout.images_file.read_text()):
        settings["config"]["millrace:logs"] = {}  # it is made only for a stack that keeps logs
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(yaml.safe_dump(settings))
    config = ("--config-file", str(file))
    made = pulumi(checkout, "stack", "select", "--create", stack="dev")
    assert made.code == 0, made.tail
    up = pulumi(checkout, "up", "--yes", "--skip-preview", *config, stack="dev")
    assert up.code == 0, up.tail
    events_flow(checkout, kube, prefix, say)
    destroy_and_look(checkout, kube, *config, stack="dev")
    say("dev's settings ran, events flowed, and nothing was left")


@pytest.mark.timeout(600)
def test_up_works_again_from_there(checkout: Checkout, kube: Kube, prefix: str, say: Say) -> None:
    up = pulumi(checkout, "up", "--yes", "--skip-preview")
    assert up.code == 0, up.tail
    events_flow(checkout, kube, prefix, say)
    say("up worked again, and events flow")
