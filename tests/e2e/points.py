"""Points that flow while a test breaks things: many devices, rewritten keys, duplicates, a ledger.

All devices go on together, a round at a time: none begins the next before every point of this one
is acknowledged, or given up. So what is out of order is so by one round at most. And what nobody
took for long is sent no more: no point is too late for its window, whatever is killed meanwhile,
and however long it takes to come back.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests.exchange import RequestFailed
from loadtests.outcome import Outcome
from loadtests.telemetry import books
from loadtests.telemetry.client import Point, Telemetry
from loadtests.telemetry.over_httpx import telemetry_of
from loadtests.values import ValueLedger
from tests.e2e.cluster import wait_for

METRICS = ("temperature", "pressure", "humidity")
PER_DEVICE = len(METRICS) + 1
"""Points of a device in a round: one of each metric, and one that replaces another."""
STORED_SECONDS = 180.0
RECENT = timedelta(seconds=15)
TAKEN_WITHIN = timedelta(seconds=40)
"""Older points are sent no more. A window may be closed by the clock a minute after its end, and an
answer may take fifteen seconds."""
LARGEST = 100_000
"""Of the values that keys begin with."""


@dataclass(frozen=True)
class Shape:
    """``writers`` threads with ``devices`` each; ``pace`` is the least that a round takes (s)."""

    writers: int = 8
    devices: int = 125
    per_request: int = 25
    """Devices."""
    pace: float = 2.5


class Flow:
    """Rounds of points until told to finish; everything sent is in the ledger with its outcome."""

    def __init__(self, checkout: Checkout, prefix: str, shape: Shape) -> None:
        self.prefix = prefix
        self.ledger = ValueLedger()
        self.failures: Counter[str] = Counter()
        self.rounds = 0
        """Of which every point is acknowledged."""
        self._checkout = checkout
        self._shape = shape
        self._whole = True
        """This round, so far."""
        self._least = 0
        self._ended = False
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._began = 0.0
        self.moment = datetime.now(UTC)
        """When the last round began: of when its points are."""
        self._given_up = False
        self._next = threading.Barrier(shape.writers, action=self._turn)
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(shape.writers)
        ]

    @property
    def acknowledged(self) -> int:
        """Points."""
        return self.ledger.count(Outcome.ACKED)

    def devices(self, writer: int | None = None) -> list[str]:
        """Of one writer, or all."""
        each = self._shape.devices
        numbers = range(self._shape.writers) if writer is None else (writer,)
        return [f"{self.prefix}-{one * each + n}" for one in numbers for n in range(each)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def goes_on(self, rounds: int = 1, seconds: float = 150.0) -> None:
        """Returns once so many more rounds were acknowledged."""
        due = self.rounds + rounds
        wait_for(f"{rounds} more rounds", lambda: self._alive() and self.rounds >= due,
                 seconds=seconds)  # fmt: skip

    def give_up(self) -> None:
        """Send nothing more: the test has failed."""
        self._given_up = True
        self._next.abort()

    def finish(self, least: int = 0, seconds: float = 240.0) -> None:
        """Until at least so many points were acknowledged, from here on as fast as it goes."""
        self._least = least
        self._over.set()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._alive()
        assert not any(thread.is_alive() for thread in self._threads), "points are still being sent"

    def check_books(self, kube: Kube, within: float = STORED_SECONDS) -> None:
        """The table holds the newest acknowledged value of every key, and nothing else."""
        left = books.close(kube, self.prefix, self.ledger, within)
        assert left.balanced, f"{within:.0f} s after the last point: {left}"

    def _alive(self) -> bool:
        if self._error is not None:
            raise self._error
        return True

    def _turn(self) -> None:
        """Between two rounds, in one thread while the others wait."""
        if self._began:
            self.rounds += self._whole
            self._whole = True
            self._over.wait(max(0.0, self._began + self._shape.pace - time.monotonic()))
        # Seen by all at once: one that left earlier would be waited for.
        self._ended = self._over.is_set() and self.acknowledged >= self._least
        self._began, self.moment = time.monotonic(), datetime.now(UTC)

    def _run(self, writer: int) -> None:
        devices = self.devices(writer)
        chance = Random(writer)
        last: list[Point] = []
        try:
            with telemetry_of(self._checkout) as telemetry:
                while True:
                    self._next.wait()
                    if self._ended:
                        return
                    last = self._round(telemetry, devices, last, chance)
        except threading.BrokenBarrierError:
            pass  # another one's error, which it tells
        except BaseException as error:  # handed to the test's own thread
            self._error = error
            self._next.abort()

    def _round(
        self, telemetry: Telemetry, devices: list[str], last: list[Point], chance: Random
    ) -> list[Point]:
        now = self.moment
        # None that its window might not wait for.
        recent = [p for p in last if p.metric == METRICS[0] and now - p.ts < RECENT]
        before = {point.device_id: point for point in recent}
        sent: list[Point] = []
        size = self._shape.per_request
        for number, first in enumerate(range(0, len(devices), size)):
            points = [
                point
                for device in devices[first : first + size]
                for point in self._of_device(device, now, before.get(device), chance)
            ]
            self._insist(telemetry, points, lines=number % 2 == 1)
            sent += (point for point in points if point.ts == now)
        return sent

    def _of_device(
        self, device: str, now: datetime, before: Point | None, chance: Random
    ) -> Iterator[Point]:
        """One of each metric; then one replaces a point of the last round, or of this request."""
        points = [
            Point(device_id=device, metric=m, ts=now, value=chance.randint(1, LARGEST))
            for m in METRICS
        ]
        yield from points
        old = before if before is not None and chance.random() < 0.5 else points[-1]
        yield old.model_copy(update={"value": old.value + 1})

    def _insist(self, telemetry: Telemetry, points: list[Point], *, lines: bool) -> None:
        """Again with the same points until they are acknowledged: a repeat does no harm."""
        oldest = min(point.ts for point in points)
        while not self._given_up:
            if datetime.now(UTC) - oldest > TAKEN_WITHIN:
                self._whole = False
                return
            try:
                telemetry.write(points, lines=lines)
            except RequestFailed as failed:
                with self._lock:
                    self.failures[str(failed)] += 1
                    books.note(self.ledger, points, failed.outcome)
                time.sleep(0.2)
            else:
                with self._lock:
                    books.note(self.ledger, points, Outcome.ACKED)
                return


@contextmanager
def flowing(
    checkout: Checkout, prefix: str, shape: Shape | None = None, least: int = 0
) -> Iterator[Flow]:
    """Points flow inside the block, and after it until there are at least so many."""
    flow = Flow(checkout, prefix, shape or Shape())
    flow.start()
    try:
        yield flow
        flow.finish(least)
    except BaseException:
        flow.give_up()
        raise
