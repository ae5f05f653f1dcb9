"""Two saved runs beside each other: what changed, and which changes are for the worse.

Two runs of the same thing differ too. A change counts once it is larger than what runs on one
machine differ by, in share and in size: 2 ms become 3 ms without anything being wrong.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from loadtests.verdict.checks import NOT_MEASURED
from loadtests.verdict.crowd import store_seconds
from loadtests.verdict.limits import Unit, number
from loadtests.verdict.results import Endpoint, Run
from loadtests.verdict.views import generator, without_way


class NotComparableError(Exception):
    """Two runs were not the same load; the text says in what."""


@dataclass(frozen=True)
class Margin:
    """Noise: a change for the worse counts if it is above both."""

    share: float
    """Of the older value."""
    size: float
    unit: Unit
    more_is_better: bool = False

    def is_worse(self, old: float, new: float) -> bool:
        """Whether the change is for the worse and no noise."""
        loss = old - new if self.more_is_better else new - old
        return loss > max(self.share * abs(old), self.size)

    @property
    def text(self) -> str:
        """Like ``25 % or 20 ms``."""
        size = number(100 * self.size if self.unit == "%" else self.size, self.unit)
        return f"{100 * self.share:.0f} % or {size}" if self.share else size


LATENCY: Final = Margin(share=0.25, size=20, unit="ms")
TAIL: Final = Margin(share=0.4, size=50, unit="ms")
"""The p99 of a run hangs on a few moments of it."""
RATE: Final = Margin(share=0.05, size=1, unit="/s", more_is_better=True)
FAILURES: Final = Margin(share=0.0, size=0.001, unit="%")
CORES: Final = Margin(share=0.15, size=0.05, unit="")
STORE: Final = Margin(share=0.10, size=3, unit="/s")

MARGINS: Final = {
    "p50, p95": LATENCY,
    "p99": TAIL,
    "rate": RATE,
    "failure rate": FAILURES,
    "cores": CORES,
    "store": STORE,
}
"""What the comparison says that it took for noise."""


@dataclass(frozen=True)
class Change:
    """One value in both runs."""

    subject: str
    what: str
    old: float | None
    new: float | None
    margin: Margin

    @property
    def worse(self) -> bool:
        """Also when it is not measured any more: nobody knows then."""
        if self.old is None:
            return False
        return self.new is None or self.margin.is_worse(self.old, self.new)

    @property
    def better(self) -> bool:
        """By more than noise."""
        if self.old is None or self.new is None:
            return False
        return self.margin.is_worse(self.new, self.old)

    @property
    def share(self) -> str:
        """Like ``+12.5 %``; a dash where there is none, as from nothing to something."""
        if self.old is None or self.new is None or self.old == 0:
            return "-"
        return f"{100 * (self.new - self.old) / self.old:+.1f} %"

    def show(self, value: float | None) -> str:
        """A value with its unit."""
        if value is None:
            return NOT_MEASURED
        unit = self.margin.unit
        decimals = 2 if unit in ("", "%") else 1
        return number(100 * value if unit == "%" else value, unit, decimals)


def compare(old: Run, new: Run, *, anyway: bool = False) -> list[Change]:
    """All values of both, endpoints by the name that both ways to the store have in common.

    Raises:
        NotComparableError: they were not the same load, and ``anyway`` is not given.
    """
    if not anyway and (reasons := list(_differences(old, new))):
        raise NotComparableError(
            f"these runs cannot be compared: {'; '.join(reasons)}. Compare runs of the same load, "
            "or say ANYWAY=1"
        )
    return [*_endpoints(old, new), *_processor(old, new), *_stores(old, new)]


def _differences(old: Run, new: Run) -> Iterator[str]:
    for what, before, after in (
        ("stack", old.stack, new.stack),
        ("target", old.target, new.target),
        ("shape", old.shape, new.shape),
        ("users", f"{old.users:,}", f"{new.users:,}"),
        ("pace", number(old.pace, "s"), number(new.pace, "s")),
        ("cores of the machine", old.machine.cores, new.machine.cores),
        *_asked(old, new),
    ):
        if before != after:
            yield f"{what} {before} there, {after} here"


def _asked(old: Run, new: Run) -> Iterator[tuple[str, str, str]]:
    """A run that does not say is taken for one like the other."""
    if old.asked is None or new.asked is None:
        return
    before, after = old.asked, new.asked
    yield "flow", before.flow, after.flow
    yield "seconds", number(before.seconds, "s"), number(after.seconds, "s")
    yield "rate", number(before.rate, "/s"), number(after.rate, "/s")
    yield "load generator", generator(before), generator(after)


def _endpoints(old: Run, new: Run) -> Iterator[Change]:
    before = {without_way(one.name): one for one in old.endpoints}
    after = {without_way(one.name): one for one in new.endpoints}
    for key in sorted(before | after):
        was, now = before.get(key), after.get(key)
        name = (now or was or new.endpoints[0]).name
        for what in ("p50", "p95", "p99"):
            margin = TAIL if what == "p99" else LATENCY
            yield Change(name, what, _latency(was, what), _latency(now, what), margin)
        yield Change(name, "rate", _rate(was, old), _rate(now, new), RATE)
        yield Change(name, "failure rate", _failures(was), _failures(now), FAILURES)


def _latency(one: Endpoint | None, what: str) -> float | None:
    return getattr(one.latencies, what) if one and one.latencies else None


def _rate(one: Endpoint | None, run: Run) -> float | None:
    return one.requests / run.seconds if one and run.seconds > 0 else None


def _failures(one: Endpoint | None) -> float | None:
    return one.failures / one.requests if one and one.requests else None


def _processor(old: Run, new: Run) -> Iterator[Change]:
    """Groups that are in one run alone used nothing in the other, if that one was measured."""

    def cores(run: Run, name: str) -> float | None:
        return run.cpu.get(name, 0.0) if run.cpu else None

    for name in sorted(old.cpu | new.cpu):
        yield Change(f"processor: {name}", "cores", cores(old, name), cores(new, name), CORES)
    total = [sum(run.cpu.values()) if run.cpu else None for run in (old, new)]
    yield Change("processor", "cores", total[0], total[1], CORES)


def _stores(old: Run, new: Run) -> Iterator[Change]:
    for what in ("commits", "flushes"):
        yield Change("store", what, _store_rate(old, what), _store_rate(new, what), STORE)


def _store_rate(run: Run, what: str) -> float | None:
    seconds = store_seconds(run)
    return getattr(run.store, what) / seconds if run.store and seconds > 0 else None
