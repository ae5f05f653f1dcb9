"""How long it takes from sending points until they are read."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from loadtests.exchange import RequestFailed
from loadtests.telemetry.client import Consistency, Point, Telemetry

T = TypeVar("T")
_AWAY = ("503 unavailable", "503 no-keys")
"""What is said, with the time to come again, when a server that is needed does not answer within
moments: a machine that has much else to do may be that slow now and then."""
_OPEN = "503 outcome-unknown"
_PAUSE = 0.02
_LONGER_PAUSE = 0.5


def send(
    telemetry: Telemetry, points: Sequence[Point], *, lines: bool = False, within: float
) -> None:
    """Send points, and again the same points where the answer says that this is what to do.

    Raises:
        RequestFailed: another failure, or none that let them in within the seconds given.
    """
    _insist(
        lambda: telemetry.write(points, lines=lines), (*_AWAY, _OPEN), within, pause=_LONGER_PAUSE
    )


def read(
    telemetry: Telemetry,
    device_id: str,
    metric: str | None = None,
    *,
    limit: int = 100,
    consistency: Consistency = "eventual",
    within: float,
) -> list[Point]:
    """What a page holds, asked for again where the answer says that this is what to do.

    Raises:
        RequestFailed: another failure, or no page within the seconds given.
    """
    return _insist(
        lambda: telemetry.page(device_id, metric, limit=limit, consistency=consistency).items,
        _AWAY,
        within,
        pause=_PAUSE,
    )


def _insist(ask: Callable[[], T], excuses: Sequence[str], within: float, *, pause: float) -> T:
    """What `ask` gives, repeated after a failure that is among `excuses`."""
    deadline = time.monotonic() + within
    while True:
        try:
            return ask()
        except RequestFailed as failed:
            if str(failed) not in excuses or time.monotonic() > deadline:
                raise
        time.sleep(pause)


def wait_until_read(
    telemetry: Telemetry, points: Sequence[Point], consistency: Consistency, *, within: float
) -> float:
    """Read the points' device until all of them are there; gives when, on the monotonic clock.

    The points are of one device and metric, and all that this device has.

    Raises:
        RequestFailed: a read failed otherwise than for a database that was away for a moment, or
            they were not there within the seconds given.
    """
    first = points[0]
    deadline = time.monotonic() + within
    while True:
        items = read(
            telemetry,
            first.device_id,
            first.metric,
            limit=len(points),
            consistency=consistency,
            within=deadline - time.monotonic(),
        )
        now = time.monotonic()
        if items == list(points):
            return now
        if now > deadline:
            raise RequestFailed(
                f"{len(items)} of {len(points)} points are read after {within:.0f} s "
                f"with consistency={consistency}"
            )
        time.sleep(_PAUSE)
