"""Takes in what the load's processes tell: every sample, the ledger, how many users there were."""

import threading
from array import array
from bisect import bisect_right
from collections import Counter, deque

from loadtests.run.messages import MESSAGE, Event, Report
from loadtests.run.plan import Plan
from loadtests.values import ValueLedger
from loadtests.verdict.samples import Batch, Samples

_MOST_ERRORS = 20
_RECENT_SECONDS = 10.0


class Intake:
    """Fed by one thread while others look.

    ``began`` is when the first users were wanted, in seconds of the Unix epoch, and what samples
    count from; 0 before that.
    """

    def __init__(self, plan: Plan, ledger: ValueLedger) -> None:
        self.samples = Samples(plan.endpoints)
        self.ledger = ledger
        self.errors: Counter[str] = Counter()
        self.events: list[Event] = []
        self.began = 0.0
        self.last_answer = 0.0
        self.failures = 0
        self._plan = plan
        self._lock = threading.Lock()
        self._users: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._ended: set[str] = set()
        self._leaving = False
        self._gaps: list[str] = []
        self._counts: list[tuple[float, int]] = []
        self._recent: deque[tuple[float, float]] = deque()

    def take(self, line: str) -> None:
        """Take in one line.

        Raises:
            ValueError: it is no message of ours.
        """
        message = MESSAGE.validate_json(line)
        with self._lock:
            if isinstance(message, Report):
                self._report(message)
            else:
                self._event(message)

    def _event(self, event: Event) -> None:
        if event.what == "wanted" and not self.began:
            self.began = self.last_answer = event.at
        if event.what == "stopping":
            # Those who still wait for an answer ask nothing more.
            self._counts.append((event.at - self.began, 0))
            self._leaving = True
        self.events.append(event)

    def _report(self, report: Report) -> None:
        due = self._numbers.get(report.worker, -1) + 1
        if report.number != due:
            self._gaps.append(f"report {due} of {report.worker} is missing")
        self._numbers[report.worker] = report.number
        if report.last:
            self._ended.add(report.worker)
        self._users[report.worker] = report.users
        for told in report.requests:
            at = array("d", [moment - self.began for moment in told.at])
            self.samples.add_batch(
                Batch(told.name, at, array("d", told.milliseconds), told.failures)
            )
            self.failures += len(told.failures)
            self.last_answer = max(self.last_answer, told.at[-1])
            self._recent.extend(zip(told.at, told.milliseconds, strict=True))
        for document_id, value, outcome in report.writes:
            self.ledger.note(document_id, value, outcome)
        for error in report.errors:
            self.errors[error if len(self.errors) < _MOST_ERRORS else "other errors"] += 1
        if self.began and not self._leaving:
            latest = self._counts[-1][0] if self._counts else 0.0
            self._counts.append((max(latest, report.at - self.began), self.users))

    def users_at(self, seconds: float) -> int:
        """How many users there were so long after the begin, as last reported before."""
        place = bisect_right(self._counts, (seconds, self._plan.users))
        return self._counts[place - 1][1] if place else 0

    @property
    def users(self) -> int:
        """How many users there are now."""
        return sum(self._users.values())

    def recent(self) -> tuple[float, list[float]]:
        """Requests a second over the last seconds, and how many milliseconds each took."""
        with self._lock:
            self._recent = deque(
                (at, taken) for at, taken in self._recent if at > self.last_answer - _RECENT_SECONDS
            )
            return len(self._recent) / _RECENT_SECONDS, [taken for _, taken in self._recent]

    @property
    def steady(self) -> tuple[float, float] | None:
        """From when until when all users were there; None when they never were."""
        since: float | None = None
        for event in self.events:
            if event.what == "reached" and event.users == self._plan.users:
                since = event.at - self.began
            elif since is not None and event.what in ("wanted", "stopping"):
                until = event.at - self.began
                return (since, until) if until > since else None
        return None

    def complaints(self) -> list[str]:
        """What makes the numbers worth nothing, a sentence each; empty when they are complete."""
        wrong = list(self._gaps)
        silent = self._plan.workers - len(self._ended)
        if silent:
            wrong.append(f"{silent} of {self._plan.workers} load generators never reported the end")
        wrong += [
            f"{count} times the load generator itself failed: {error}"
            for error, count in self.errors.items()
        ]
        return wrong
