"""The users who send and read points: each is a device."""

import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from locust import task

from loadtests.exchange import RequestFailed
from loadtests.generator.paced import PacedUser
from loadtests.outcome import Outcome
from loadtests.run.plan import Plan
from loadtests.telemetry.client import Consistency, Key, Point, Telemetry, key_of

METRICS = ("temperature", "pressure")
MOMENTS = 4
"""Of each metric in a request, since the one before."""
STRONG = 0.2
"""Of the reads of points, how many ask for what the source has."""
PAGE_LIMIT = 50


class Device(PacedUser):
    """Sends its points in order, each request after the answer to the one before."""

    abstract = True

    def arrive(self, plan: Plan) -> None:
        self._telemetry = Telemetry(self.transport)
        self._sent: dict[Key, float] = {}
        self._last: list[Point] = []
        self._until = datetime.now(UTC) - timedelta(seconds=plan.pace)

    def send(self) -> None:
        """What was measured since the last time, a point again with another value, one corrected.

        Of a request whose outcome is unknown no point is sent again: what the table has to hold
        could not be said.
        """
        points = self._measured()
        points.append(_corrected(points[-1]))
        if self._last:
            points.append(_corrected(self._last[0]))
        outcome = Outcome.UNKNOWN  # also for a user who has to leave before the answer
        for point in points:
            self._sent[point.key] = point.value
        self._last = []
        try:
            self._telemetry.write(points, lines=random.random() < 0.5)  # noqa: S311
            outcome = Outcome.ACKED
            self._last = points[: len(METRICS)]
        except RequestFailed as failed:
            outcome = failed.outcome
        finally:
            for point in points:
                self.journey.recorder.wrote(key_of(point), int(point.value), outcome)

    def _measured(self) -> list[Point]:
        since, now = self._until, datetime.now(UTC)
        self._until = now
        return [
            Point(
                device_id=self.name,
                metric=metric,
                ts=since + (now - since) * (number + 1) / MOMENTS,
                value=random.randint(1, 1_000),  # noqa: S311
            )
            for number in range(MOMENTS)
            for metric in METRICS
        ]

    def read_points(self) -> None:
        """A page of this device's points: none that it never sent may be there."""
        consistency: Consistency = "strong" if random.random() < STRONG else "eventual"  # noqa: S311
        with suppress(RequestFailed):
            self._telemetry.page(
                self.name, limit=PAGE_LIMIT, consistency=consistency, sent=self._sent
            )

    def read_rollups(self) -> None:
        with suppress(RequestFailed):
            self._telemetry.rollups(self.name, limit=PAGE_LIMIT)


def _corrected(point: Point) -> Point:
    return point.model_copy(update={"value": point.value + 1})


class MixedUser(Device):
    """Of its requests 60 % send points, 35 % read points, 5 % read rollups."""

    @task(60)
    def send_some(self) -> None:
        self.send()

    @task(35)
    def look_at_points(self) -> None:
        self.read_points()

    @task(5)
    def look_at_rollups(self) -> None:
        self.read_rollups()


class WritingUser(Device):
    """Sends only."""

    @task
    def send_some(self) -> None:
        self.send()


class ReadingUser(Device):
    """Reads only: a device that has sent nothing."""

    @task(35)
    def look_at_points(self) -> None:
        self.read_points()

    @task(5)
    def look_at_rollups(self) -> None:
        self.read_rollups()
