"""The autoscaler of ingest-service: more pods under load, fewer after it, and nothing lost."""

from contextlib import ExitStack
from typing import Any

import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests.documents.over_httpx import documents_of
from tests.e2e.cluster import NAMESPACES, wait_for
from tests.e2e.conftest import Say
from tests.e2e.documents import Writer
from tests.e2e.pulumi import pulumi

SERVICE = "ingest-service"
READ_BACK = 500
BUSY = 6
"""Clients without a pause: together they make two pods use more than 40 % of what they request."""

pytestmark = pytest.mark.usefixtures("settled")


def pods(kube: Kube) -> int:
    return int(kube.json("get", "deployment", SERVICE, "-n", "apps")["spec"]["replicas"])


def ready(kube: Kube) -> int:
    status = kube.json("get", "deployment", SERVICE, "-n", "apps")["status"]
    return int(status.get("readyReplicas", 0))


def test_what_pods_use_is_measured_and_shown(kube: Kube) -> None:
    """`kubectl top`, from the same API that autoscalers ask."""

    def all_shown() -> bool:
        for namespace in NAMESPACES:
            running = [
                pod["metadata"]["name"]
                for pod in kube.items("pods", namespace)
                if pod["status"]["phase"] == "Running"
            ]
            shown = kube.run("top", "pods", "-n", namespace, "--no-headers")
            measured = {line.split()[0] for line in shown.splitlines()}
            if not measured >= set(running):
                return False
        return True

    wait_for("every running pod in `kubectl top`", all_shown, seconds=60)


def test_the_metrics_api_is_reached_with_certificates_that_are_checked(kube: Kube) -> None:
    served = kube.json("get", "apiservice", "v1beta1.metrics.k8s.io")
    conditions: list[Any] = served["status"]["conditions"]
    assert {c["type"]: c["status"] for c in conditions}["Available"] == "True"
    if kube.json("get", "nodes")["items"][0]["metadata"]["name"] == kube.checkout.name("node"):
        assert not served["spec"].get("insecureSkipTLSVerify")  # k3d's is its own affair
        assert served["spec"]["caBundle"]


@pytest.mark.timeout(900)
def test_load_adds_pods_no_up_takes_them_away_and_their_leaving_loses_no_document(
    checkout: Checkout, kube: Kube, prefix: str, say: Say
) -> None:
    least = kube.json("get", "hpa", SERVICE, "-n", "apps")["spec"]["minReplicas"]
    wait_for(f"{least} pods at rest", lambda: pods(kube) == least, seconds=150)
    with Writer(checkout, f"{prefix}-calm", pause=0.2, size=5) as calm:
        with ExitStack() as load:
            busy = [
                load.enter_context(Writer(checkout, f"{prefix}-{n}", size=20)) for n in range(BUSY)
            ]
            wait_for("more pods", lambda: ready(kube) > least, seconds=150)
        # From here on pods may leave: on a busy machine all have before the preview is over.
        before = len(calm.acknowledged)
        scaled = pods(kube)
        say(f"{scaled} pods under load")
        # The number is the autoscaler's: the program neither sees nor takes back what it did.
        preview = pulumi(checkout, "preview", "--expect-no-changes")
        assert preview.code == 0, preview.tail
        wait_for(f"{least} pods again", lambda: ready(kube) == pods(kube) == least, seconds=300)
        during = dict(list(calm.acknowledged.items())[before:])
    writers = (calm, *busy)
    acknowledged = sum(len(writer.acknowledged) for writer in writers)
    refused = sum(writer.refused for writer in writers)
    say(
        f"back at {least}; {acknowledged} documents acknowledged, {len(during)} of them while "
        f"pods left; {refused} requests had to be sent again"
    )
    assert len(during) > READ_BACK / 10, "nothing was written while pods left"
    with documents_of(checkout) as documents:
        for document_id, value in list(during.items())[-READ_BACK:]:
            read = documents.read(document_id)
            assert read.value >= value
    for writer in writers:
        writer.check_books(kube)
    say("every acknowledged document is readable and stored with its last value")
