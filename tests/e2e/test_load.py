"""A short load run with Locust: the whole journey, held to the targets, its ledger closed."""

import io

import pytest
from rich.console import Console

from bootstrap.checkout import Checkout
from loadtests.run.command import REACHED, load
from loadtests.run.plan import Settings
from tests.e2e.conftest import Say

pytestmark = pytest.mark.usefixtures("settled")

SHORT = Settings(users=300, pace=2, seconds=30)


@pytest.mark.timeout(300)
def test_a_short_load_run_reaches_its_targets_and_its_ledger_balances(
    checkout: Checkout, say: Say
) -> None:
    console = Console(file=io.StringIO(), record=True, width=200)
    code = load(checkout, SHORT, console)
    told = console.export_text()
    say(told)
    # What is missed comes first: it is what the last lines of a long run's output show.
    missed = [line for line in told.splitlines() if line.startswith("✗")]
    assert code == REACHED, "\n".join([*missed, told])
