"""The part of ``make smoke`` about points: sent, stored, read from the source and from copies."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests.differences import Differences
from loadtests.outcome import Outcome
from loadtests.telemetry import books
from loadtests.telemetry.arriving import send, wait_until_read
from loadtests.telemetry.client import Point
from loadtests.telemetry.over_httpx import telemetry_of
from loadtests.values import ValueLedger

DEVICES = 10
POINTS = 20
"""Of each device, in one request."""


@dataclass
class Seen:
    """Seconds from sending each request to its answer, and until its points were read."""

    answered: list[float] = field(default_factory=list[float])
    strong: list[float] = field(default_factory=list[float])
    eventual: list[float] = field(default_factory=list[float])

    @property
    def rows(self) -> dict[str, list[float]]:
        """By what the table calls them."""
        return {
            "points (answer)": self.answered,
            "points to strong read": self.strong,
            "points to eventual read": self.eventual,
        }


def send_and_read(
    checkout: Checkout, kube: Kube, prefix: str, within: float
) -> tuple[Seen, Differences]:
    """Send the points of a few devices, read each from the source and from a copy, close the books.

    Raises:
        RequestFailed: they were not taken, or not read within the seconds given.
        KubeError: the table could not be read.
    """
    seen, ledger = Seen(), ValueLedger()
    now = datetime.now(UTC)
    with telemetry_of(checkout) as telemetry:
        for number in range(DEVICES):
            points = [
                Point(
                    device_id=f"{prefix}-device-{number}",
                    metric="temperature",
                    ts=now + timedelta(seconds=n - POINTS),
                    value=n + 1,
                )
                for n in range(POINTS)
            ]
            sent = time.monotonic()
            send(telemetry, points, lines=number % 2 == 1, within=within)
            seen.answered.append(time.monotonic() - sent)
            books.note(ledger, points, Outcome.ACKED)
            there = wait_until_read(telemetry, points, "strong", within=within)
            seen.strong.append(there - sent)
            there = wait_until_read(telemetry, points, "eventual", within=within)
            seen.eventual.append(there - sent)
    return seen, books.compare(kube, prefix, ledger)
