"""Rollups of points that flowed, held against what SQL makes of the table."""

import time
from datetime import UTC, datetime, timedelta

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests.outcome import Outcome
from loadtests.telemetry import books
from loadtests.telemetry.arriving import send
from loadtests.telemetry.client import MOST_POINTS, Point
from loadtests.telemetry.over_httpx import telemetry_of
from tests.e2e.cluster import wait_for
from tests.e2e.points import METRICS, Flow
from tests.harness.rollups_sql import differences

WINDOW = timedelta(seconds=60)
GRACE = timedelta(seconds=30)
WRITTEN_SECONDS = 180.0
PARTS = "0123456789"
"""First digits of devices' numbers: of all points at once the server's temporary tables would not
fit into its memory."""


def over(flow: Flow) -> datetime:
    """When the window of the last points ends."""
    since = flow.moment - datetime(1970, 1, 1, tzinfo=UTC)
    return flow.moment + WINDOW - since % WINDOW


def close_windows(checkout: Checkout, flow: Flow) -> None:
    """Wait until the last window may close, and send a point of each device that says so."""
    due = over(flow) + GRACE
    time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()) + 1)
    now = datetime.now(UTC)
    last = [Point(device_id=device, metric="last", ts=now, value=1) for device in flow.devices()]
    with telemetry_of(checkout) as telemetry:
        for first in range(0, len(last), MOST_POINTS):
            some = last[first : first + MOST_POINTS]
            send(telemetry, some, within=WRITTEN_SECONDS)
            books.note(flow.ledger, some, Outcome.ACKED)


def check_rollups(kube: Kube, flow: Flow) -> int:
    """Every window of the flow's points is as SQL makes it; gives how many rollups there are.

    Raises:
        AssertionError: it does not come to that.
    """
    until = f"{over(flow):%Y-%m-%d %H:%M:%S}"
    wrong: list[str] = []

    def none_is_wrong() -> bool:
        wrong[:] = [line for part in PARTS for line in _differences(kube, flow, part, until)]
        return not wrong

    try:
        wait_for("the rollups", none_is_wrong, seconds=WRITTEN_SECONDS, pause=3)
    except TimeoutError as error:
        raise AssertionError(f"{error}; {len(wrong)} are wrong, such as {wrong[:5]}") from None
    devices = f"device_id LIKE '{flow.prefix}-%'"
    count = f"SELECT COUNT(*) FROM telemetry_rollups WHERE {devices} AND window_start < '{until}'"
    made = int(kube.mysql(books.DATABASE, count, server=books.SERVER))
    assert made >= len(flow.devices()) * len(METRICS), f"there are {made} rollups alone"
    return made


def _differences(kube: Kube, flow: Flow, part: str, until: str) -> list[str]:
    condition = f"device_id LIKE '{flow.prefix}-{part}%' AND ts < '{until}'"
    script = differences(int(WINDOW.total_seconds()), condition)
    return kube.mysql(books.DATABASE, script, server=books.SERVER, timeout=120).splitlines()
