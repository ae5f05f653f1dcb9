"""A load run whose generator is on the cluster: the same run, and one that loses a worker."""

import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from rich.console import Console

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests.run import pods
from loadtests.run.command import MISSED, REACHED, load
from loadtests.run.plan import Settings
from loadtests.verdict import saved
from tests.e2e.cluster import wait_for
from tests.e2e.conftest import Say
from tests.e2e.pulumi import pulumi, stack_name

pytestmark = pytest.mark.usefixtures("settled")

SHORT = Settings(users=200, pace=2, seconds=20, where="cluster")
SMALL = {
    "enabled": True,
    "workers": 2,
    "resources": {
        "requests": {"cpu": "20m", "memory": "128Mi"},
        "limits": {"cpu": "1", "memory": "512Mi"},
    },
}
"""Small enough to fit beside the platform on two cores."""


@pytest.fixture(scope="module", autouse=True)
def load_generator(
    checkout: Checkout, kube: Kube, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """The stack with a load generator, and afterwards as its file has it."""
    chosen = yaml.safe_load((checkout.root / f"Pulumi.{stack_name(checkout)}.yaml").read_text())
    kept = (chosen["config"].get("millrace:loadtest") or {}).get("enabled")
    chosen["config"]["millrace:loadtest"] = SMALL
    changed = tmp_path_factory.mktemp("stack") / "Pulumi.changed.yaml"
    changed.write_text(yaml.safe_dump(chosen))
    up = ("up", "--yes", "--skip-preview")
    enabled = pulumi(checkout, *up, "--config-file", str(changed))
    assert enabled.code == 0, enabled.tail
    yield
    disabled = pulumi(checkout, *up)
    assert disabled.code == 0, disabled.tail
    there = {one["metadata"]["name"] for one in kube.items("namespaces")}
    assert (pods.NAMESPACE in there) == bool(kept)


def load_run(checkout: Checkout, chosen: Settings, say: Say) -> tuple[int, str, Any]:
    """Its exit code, what it said, and what was kept of it."""
    console = Console(file=io.StringIO(), record=True, width=200)
    reports = checkout.root / "build" / "load"
    before = set(reports.glob(f"*/{saved.FILE}"))
    code = load(checkout, chosen, console)
    told = console.export_text()
    say(told)
    (kept,) = set(reports.glob(f"*/{saved.FILE}")) - before
    return code, told, json.loads(kept.read_text())


@pytest.mark.timeout(420)
def test_a_run_with_its_workers_on_the_cluster_reaches_its_targets_and_its_ledger_balances(
    checkout: Checkout, kube: Kube, say: Say
) -> None:
    code, told, kept = load_run(checkout, SHORT, say)
    assert code == REACHED, told
    run = kept["run"]
    assert (run["asked"]["where"], run["asked"]["workers"]) == ("cluster", 2)
    # Two hundred users, a request every two seconds each, for twenty seconds and more.
    assert sum(one["requests"] for one in run["endpoints"]) > 1_500
    books = run["books"]
    assert books["acknowledged"] > 0
    assert (books["missing"], books["stale"], books["never_written"]) == (0, 0, 0)
    assert kube.items("pods", pods.NAMESPACE) == []


@pytest.mark.timeout(300)
def test_a_run_that_loses_a_worker_ends_at_once_as_failed_and_names_it(
    checkout: Checkout, kube: Kube, say: Say
) -> None:
    killed: list[str] = []

    def kill_one() -> None:
        def both_make_load() -> Any:
            found = [pods.seen(pod) for pod in kube.items("pods", pods.NAMESPACE)]
            ours = sorted(pod.name for pod in found if pod.running and "worker" in pod.name)
            lines = [
                kube.run("logs", name.partition("-worker")[0] + "-master", "-n", pods.NAMESPACE)
                for name in ours[:1]
            ]
            return ours if len(ours) == 2 and lines[0].count("POST /api/data") > 3 else None

        name = wait_for("the load to be made", both_make_load, seconds=200)[0]
        now = ("--grace-period=0", "--force")
        kube.run("delete", "pod", name, "-n", pods.NAMESPACE, *now, "--wait=false")
        killed.append(name)

    killer = threading.Thread(target=kill_one)
    killer.start()
    code, told, kept = load_run(checkout, SHORT.model_copy(update={"seconds": 120}), say)
    killer.join()
    assert code == MISSED
    assert killed, "no worker was killed"
    (name,) = killed
    assert f"the load generator's pod {name} was deleted in the middle of the run" in told
    assert any(name in sentence for sentence in kept["sentences"])
    assert kept["run"]["seconds"] < 100
    assert kube.items("pods", pods.NAMESPACE) == []
