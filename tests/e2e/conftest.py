"""The running platform, as the end-to-end tests see it: published ports, and kubectl to look in.

Tests run in the order of ``ORDER``: what only looks comes first, faults later, and what takes the
whole platform away last. Each test leaves the platform as it found it.
"""

import secrets
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from bootstrap import status
from bootstrap.checkout import Checkout, find_checkout
from bootstrap.kube import Kube, KubeError
from bootstrap.kube_api import kubernetes_api
from loadtests import tokens, traffic
from tests.e2e.cluster import last_words, wait_for, wait_until_settled

ORDER = (
    "test_commands",
    "test_resources",
    "test_input",
    "test_events",
    "test_grpcurl",
    "test_documents",
    "test_twin",
    "test_traces",
    "test_logs",
    "test_load",
    "test_load_faults",
    "test_load_distributed",
    "test_autoscaling",
    "test_tasks",
    "test_workloads",
    "test_secrets",
    "test_tls",
    "test_telemetry_input",
    "test_telemetry",
    "test_backups",
    "test_dashboards",
    "test_rotation",
    "test_faults",
    "test_token_faults",
    "test_outages",
    "test_alerts",
    "test_eviction",
    "test_program",
    "test_destroy",
)

Say = Callable[[str], None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules in ``ORDER``; a module that is not listed there is a mistake."""
    here = Path(__file__).parent
    ours = [item for item in items if here in item.path.parents]
    for item in ours:
        if item.path.stem not in ORDER:
            raise pytest.UsageError(f"{item.path.name} has no place in ORDER of {__file__}")
    ordered = sorted(ours, key=lambda item: ORDER.index(item.path.stem))
    items[:] = [item for item in items if item not in ours] + ordered


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the platform said last belongs to a failure: a machine that ran it may be gone."""
    report = yield
    if report.failed and call.when == "call":
        report.sections.append(("the platform's last words", last_words(Kube(find_checkout()))))
    return report


@pytest.fixture(scope="session")
def checkout() -> Checkout:
    return find_checkout()


@pytest.fixture(scope="session")
def kube(checkout: Checkout) -> Kube:
    """kubectl of this checkout; without a running platform no test starts."""
    kube = Kube(checkout)
    try:
        found = status.workloads(kube.items("deployments,statefulsets"))
    except KubeError as error:
        pytest.exit(f"the platform is not up ({error}); run `make up`, then again", returncode=1)
    if not found:
        pytest.exit("the cluster runs but the platform is not in it; run `make up`", returncode=1)
    try:
        wait_until_settled(kube, seconds=120)
    except TimeoutError as error:
        pytest.exit(f"{error}; `make status` shows more, `make up` repairs it", returncode=1)
    return kube


@pytest.fixture(scope="session", autouse=True)
def registered(checkout: Checkout, kube: Kube) -> Iterator[tokens.Tokens]:
    """The tests are one client of the platform."""
    with ExitStack() as held:
        # The way to a service that has just begun is there a moment after it.
        yield wait_for(
            "a client of our own", lambda: held.enter_context(tokens.session(checkout)), seconds=60
        )


@pytest.fixture(scope="session")
def http(checkout: Checkout, registered: tokens.Tokens) -> Iterator[httpx.Client]:
    """A client for the published port of rest-service."""
    with httpx.Client(
        base_url=traffic.base_url(checkout),
        auth=tokens.Shown(registered),
        timeout=15,
        trust_env=False,
    ) as client:
        yield client


@pytest.fixture(scope="session")
def api(kube: Kube) -> Iterator[httpx.Client]:
    """The Kubernetes API with plain HTTP semantics (status codes, retries left to the test)."""
    with kubernetes_api(kube) as client:
        yield client


@pytest.fixture
def prefix() -> str:
    """A name prefix that nothing else in the platform has."""
    return f"e2e-{secrets.token_hex(5)}"


@pytest.fixture(scope="session")
def say(pytestconfig: pytest.Config) -> Say:
    """Print a line at once, past pytest's capturing: long tests show how far they are."""
    capture: Any = pytestconfig.pluginmanager.getplugin("capturemanager")
    began = time.monotonic()

    def line(text: str) -> None:
        with capture.global_and_fixture_disabled():
            sys.stdout.write(f"\n    [{time.monotonic() - began:6.1f} s] {text}")
            sys.stdout.flush()

    return line


@pytest.fixture
def settled(kube: Kube) -> Iterator[None]:
    """The platform is whole before the test, and has to be whole again after it."""
    wait_until_settled(kube, seconds=120)
    yield
    wait_until_settled(kube, seconds=180)
