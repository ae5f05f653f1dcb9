"""What a run is about: how it is prepared, and how its books are closed."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from rich.console import Console

from bootstrap.checkout import Checkout
from bootstrap.kube import WAY_OUT, Kube
from loadtests.differences import Differences
from loadtests.documents import closing
from loadtests.documents.over_httpx import documents_of
from loadtests.documents.ways import Way
from loadtests.exchange import RequestFailed
from loadtests.observers.watch import Watch
from loadtests.outcome import Outcome
from loadtests.run.plan import Plan
from loadtests.run.preparing import RunFailed, seed, warm
from loadtests.telemetry import books
from loadtests.telemetry.arriving import send
from loadtests.telemetry.client import POST, Point
from loadtests.telemetry.over_httpx import telemetry_of
from loadtests.values import ValueLedger

TAKEN_SECONDS = 30.0
"""How long the first point may take to be let in."""
EMPTY_SECONDS = 300.0
"""How long it may take until all that was accepted is stored."""


class Subject(Protocol):
    """Of one run."""

    def prepare(self, watch: Watch, ledger: ValueLedger, console: Console) -> None:
        """What has to be there before the first user comes; it is in the ledger.

        Raises:
            RunFailed: the platform does not take it.
        """
        ...

    def close(self, ledger: ValueLedger, emptied: float | None) -> tuple[Differences, float | None]:
        """What is wrong with what is stored, and the seconds until all of it was.

        ``emptied``: those until the queue was empty, where there is one.

        Raises:
            KubeError: the store could not be asked.
        """
        ...


@dataclass(frozen=True)
class Documents:
    """Written and read by their ids, one way into their store."""

    checkout: Checkout
    plan: Plan
    way: Way

    def prepare(self, watch: Watch, ledger: ValueLedger, console: Console) -> None:
        plan = self.plan
        console.print(f"{plan.run}: writing and reading {plan.hot:,} documents that all users read")
        with documents_of(self.checkout, self.way) as client:
            seed(client, plan, ledger)
            if watch.wait_until_empty(EMPTY_SECONDS) is None:
                raise RunFailed("the queue did not get empty in time; see stream-writer's log")
            warm(client, plan, watch.services)

    def close(self, ledger: ValueLedger, emptied: float | None) -> tuple[Differences, float | None]:
        return closing.compare(Kube(self.checkout), self.plan.run, ledger, self.way), emptied


@dataclass(frozen=True)
class Points:
    """Sent by devices of their own; each user reads its device's."""

    checkout: Checkout
    plan: Plan

    def prepare(self, watch: Watch, ledger: ValueLedger, console: Console) -> None:
        plan = self.plan
        console.print(f"{plan.run}: sending a point, to see that points are taken")
        ts = datetime.now(UTC) - timedelta(minutes=1)
        point = Point(device_id=f"{plan.run}-first", metric="first", ts=ts, value=1)
        try:
            with telemetry_of(self.checkout) as client:
                send(client, [point], within=TAKEN_SECONDS)
        except RequestFailed as failed:
            raise RunFailed(
                f"{POST} at {plan.host} does not take points ({failed}); {WAY_OUT}"
            ) from failed
        books.note(ledger, [point], Outcome.ACKED)

    def close(self, ledger: ValueLedger, emptied: float | None) -> tuple[Differences, float | None]:
        # Nobody but the table can say whether all that was accepted is in it.
        began = time.monotonic()
        left = books.close(Kube(self.checkout), self.plan.run, ledger, EMPTY_SECONDS)
        return left, time.monotonic() - began if left.balanced else None


def subject_of(checkout: Checkout, plan: Plan) -> Subject:
    """By the plan's target."""
    return Documents(checkout, plan, plan.way) if plan.way else Points(checkout, plan)
