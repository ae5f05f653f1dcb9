"""A Locust run that goes on while a test breaks things, and an account of every failure in it."""

import time
from collections import Counter
from collections.abc import Generator as Yields
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests.documents import closing
from loadtests.documents.over_httpx import documents_of
from loadtests.observers.watch import Watch
from loadtests.outcome import Outcome
from loadtests.run.intake import Intake
from loadtests.run.plan import Settings
from loadtests.run.preparing import plan_of, seed, warm
from loadtests.run.running import Generator
from loadtests.tokens import header_of
from loadtests.values import ValueLedger
from loadtests.verdict.samples import Failure
from tests.e2e.cluster import wait_for
from tests.e2e.conftest import Say

SETTLE_SECONDS = 12.0
"""After what a fault took away is ready again: a probe that failed twice is asked again 5 s later,
and a name or a connection that led nowhere is tried again."""
EMPTY_SECONDS = 120.0


@dataclass
class Fault:
    """What was broken from when until when (Unix epoch seconds), and what that excuses."""

    what: str
    excuses: tuple[str, ...]
    """How the reasons of failures begin that come of it; none if nobody should notice."""
    since: float
    until: float = float("inf")


class UnderLoad:
    """Users at work while it is open; `stop` before the accounts are looked at."""

    def __init__(self, checkout: Checkout, chosen: Settings, folder: Path, say: Say) -> None:
        self.faults: list[Fault] = []
        self._plan = plan_of(checkout, chosen)
        assert self._plan.way is not None, "these users write documents"
        self._way = self._plan.way
        self._checkout = checkout
        self._kube = Kube(checkout)
        self._say = say
        self._ledger = ValueLedger()
        self.intake = Intake(self._plan, self._ledger)
        self._generator = Generator(
            self._plan,
            self.intake.take,
            folder / "generator.log",
            shown=partial(header_of, checkout),
        )
        self._open = ExitStack()

    def __enter__(self) -> "UnderLoad":
        with ExitStack() as opened:
            self.watch = opened.enter_context(Watch(self._kube, self._way))
            with documents_of(self._checkout, self._way) as client:
                seed(client, self._plan, self._ledger)
                warm(client, self._plan, self.watch.services)
            opened.enter_context(self._generator)
            users = self._plan.users
            wait_for(f"{users} users", lambda: self.intake.users == users, seconds=60)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def acknowledged(self) -> int:
        """Writes until now."""
        return self._ledger.count(Outcome.ACKED)

    def goes_on(self, writes: int = 50, seconds: float = 150.0) -> None:
        """Returns once so many more were acknowledged."""
        self._generator.hand_on()
        due = self.acknowledged() + writes
        wait_for(f"{writes} more writes", lambda: self.acknowledged() >= due, seconds=seconds)

    @contextmanager
    def fault(self, what: str, *excuses: str) -> Yields[Fault]:
        """What is broken inside the block is whole again at its end."""
        fault = Fault(what, excuses, time.time())
        self.faults.append(fault)
        self._say(f"{what}, at {self.acknowledged()} acknowledged writes")
        yield fault
        fault.until = time.time()
        self._say(f"{what}: over after {fault.until - fault.since:.1f} s")

    def stop(self) -> None:
        """The users leave, with the answers they wait for.

        Raises:
            AssertionError: what the generator counted is not complete.
        """
        self._generator.stop()
        assert self._generator.ended(180), "the users did not leave"
        assert self._generator.trouble is None, self._generator.trouble
        assert self.intake.complaints() == [], self._generator.last_words()

    def check_books(self) -> None:
        """Everything acknowledged is stored with its last value, and nothing that nobody wrote."""
        emptied = self.watch.wait_until_empty(EMPTY_SECONDS)
        assert emptied is not None, f"the queue was not empty within {EMPTY_SECONDS:.0f} s"
        left = closing.compare(self._kube, self._plan.run, self._ledger, self._way)
        counts = {one.value: self._ledger.count(one) for one in Outcome}
        self._say(f"queue empty {emptied:.1f} s after the last answer; writes: {counts}; {left}")
        assert left.balanced, left

    def failures(self) -> list[tuple[Failure, Fault | None]]:
        """Every failed request with the fault that explains it: its time overlaps, and its kind
        is one that the fault excuses."""
        return [(failure, self._cause(failure)) for failure in self.intake.samples.failures()]

    def _cause(self, failure: Failure) -> Fault | None:
        """Of several the one that began last: those before it are settling."""
        began = self.intake.began
        causes = [
            fault
            for fault in self.faults
            if began + failure.at >= fault.since
            and began + failure.sent_at <= fault.until + SETTLE_SECONDS
            and failure.reason.startswith(fault.excuses or ("\0",))
        ]
        return max(causes, key=lambda fault: fault.since, default=None)

    def account(self) -> Iterator[str]:
        """Lines that tell how many requests failed, of what, and why."""
        total = sum(one.requests for one in self.intake.samples.summary())
        found = self.failures()
        yield f"{total} requests, {len(found)} failed ({100 * len(found) / max(1, total):.1f} %)"
        counted = Counter(
            (fault.what if fault else "NOTHING EXPLAINS", failure.name, failure.reason)
            for failure, fault in found
        )
        for (what, name, reason), count in sorted(counted.items()):
            yield f"  {what}: {count} x {name}: {reason}"
