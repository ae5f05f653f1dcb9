"""How long it takes from sending points until they are read."""

import time
from collections.abc import Sequence

from loadtests.exchange import RequestFailed
from loadtests.telemetry.client import Consistency, Point, Telemetry

_PAUSE = 0.02


def wait_until_read(
    telemetry: Telemetry, points: Sequence[Point], consistency: Consistency, *, within: float
) -> float:
    """Read the points' device until all of them are there; gives when, on the monotonic clock.

    The points are of one device and metric, and all that this device has.

    Raises:
        RequestFailed: a read failed, or they were not there within the seconds given.
    """
    first = points[0]
    deadline = time.monotonic() + within
    while True:
        found = telemetry.page(
            first.device_id, first.metric, limit=len(points), consistency=consistency
        )
        now = time.monotonic()
        if found.items == list(points):
            return now
        if now > deadline:
            raise RequestFailed(
                f"{len(found.items)} of {len(points)} points are read after {within:.0f} s "
                f"with consistency={consistency}"
            )
        time.sleep(_PAUSE)
