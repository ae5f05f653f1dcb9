"""The end: destroy leaves nothing of ours, and up works again from there.

The last module on purpose: it takes the data with it.
"""

import pytest

from bootstrap import arrivals, traffic
from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from bootstrap.ledger import Outcome
from tests.e2e.cluster import NAMESPACES, wait_until_settled
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


@pytest.mark.timeout(900)
def test_destroy_leaves_no_object_in_our_namespaces_and_up_works_again(
    checkout: Checkout, kube: Kube, prefix: str, say: Say
) -> None:
    assert left_over(kube), "the search for objects finds nothing even while the platform runs"
    destroyed = pulumi(checkout, "destroy", "--yes", "--skip-preview")
    assert destroyed.code == 0, destroyed.tail
    present = {namespace["metadata"]["name"] for namespace in kube.items("namespaces")}
    assert present.isdisjoint(NAMESPACES)
    assert left_over(kube) == []
    mine = [
        volume["metadata"]["name"]
        for volume in kube.items("persistentvolumes")
        if volume["spec"].get("claimRef", {}).get("namespace") in NAMESPACES
        and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        and volume["status"]["phase"] == "Bound"
    ]
    assert mine == [], "volumes are still bound to claims of ours"
    say("destroy left no object in our namespaces")
    up = pulumi(checkout, "up", "--yes", "--skip-preview")
    assert up.code == 0, up.tail
    wait_until_settled(kube, seconds=60)
    after = arrivals.last_seq(kube)
    ledger = write_now(checkout, traffic.Stream(prefix, resources=5))
    assert ledger.counts()[Outcome.ACKED] == 25
    arrived_in_order(kube, ledger, prefix, after, seconds=60, say=say)
    say("up worked again, and events flow")
