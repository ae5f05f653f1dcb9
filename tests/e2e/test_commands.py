"""The commands people type, run as they are."""

import json
import subprocess

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from infra.model.records import RECORDS
from tests.e2e.cluster import wait_for
from tests.e2e.conftest import Say


def run(checkout: Checkout, *command: str) -> tuple[int, str]:
    """Exit code and output of ``make COMMAND…``."""
    done = subprocess.run(
        ["make", "-s", *command],
        cwd=checkout.root, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_status_shows_every_workload_ready_and_every_endpoint_answering(
    checkout: Checkout, kube: Kube
) -> None:
    said = ""

    def all_is_well() -> bool:
        nonlocal said
        code, said = run(checkout, "status")
        return code == 0

    try:  # an endpoint may take more than its three seconds, on a machine that has just begun all
        wait_for("status to be well", all_is_well, seconds=120, pause=5)
    except TimeoutError as error:
        raise AssertionError(said) from error
    for name in (*(server.name for server in RECORDS.servers), *RECORDS.service_names):
        assert name in said
    assert str(checkout.port("http")) in said
    assert "no answer" not in said


def test_smoke_sees_every_event_once_and_prints_its_latency(
    checkout: Checkout, kube: Kube, say: Say
) -> None:
    code, said = run(checkout, "smoke")
    assert code == 0, said
    line = next(line for line in said.splitlines() if "POST to processed" in line)
    say(" ".join(line.replace("│", " ").split()))


def test_the_readmes_request_is_answered_as_it_is_written(checkout: Checkout, kube: Kube) -> None:
    readme = (checkout.root / "README.md").read_text()
    [command] = [line for line in readme.splitlines() if line.startswith("curl -s localhost:")]
    here = command.replace("localhost:30080", f"localhost:{checkout.port('http')}")
    done = subprocess.run(
        ["bash", "-c", here],
        cwd=checkout.root, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "router-1", done.stdout
