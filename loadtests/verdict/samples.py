"""Every request of a load run, kept exactly: when it was answered, how long it took, why it failed.

Buckets would round, and a target would then hold for what lies beside it. A sample takes 18 bytes
here, so that ten thousand users for ten minutes fit into some fifty megabytes.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from loadtests.percentiles import percentile
from loadtests.verdict.results import Endpoint, Latencies, Point

Doubles: TypeAlias = "array[float]"
"""In quotes, as only Python 3.12 and newer can subscript it."""

MOST_REASONS = 100
OTHER_REASONS = "other reasons"
"""What more than MOST_REASONS different texts are counted as: a reason that holds an id, say."""


@dataclass(frozen=True)
class Batch:
    """Samples of one endpoint, in the order in which they were answered."""

    name: str
    at: Doubles
    """Seconds since the run began, when each was answered."""
    milliseconds: Doubles
    failures: Mapping[int, str] = field(default_factory=dict[int, str])
    """Why, by position; the others succeeded."""


@dataclass(frozen=True)
class Failure:
    """One request that failed."""

    name: str
    at: float
    """Seconds since the run began, when it was answered or given up."""
    milliseconds: float
    reason: str

    @property
    def sent_at(self) -> float:
        return self.at - self.milliseconds / 1000


class _Column:
    """The samples of one endpoint; ``reason`` is 0 for a success, else one more than its place."""

    def __init__(self) -> None:
        self.at: Doubles = array("d")
        self.milliseconds: Doubles = array("d")
        self.reason: array[int] = array("H")


class Samples:
    """All samples of one run, by endpoint.

    ``names`` are the endpoints that the run is to call: one that nobody called is in the
    summary with no requests, and not left out.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._columns: dict[str, _Column] = {name: _Column() for name in names}
        self._reasons: list[str] = []
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(len(column.at) for column in self._columns.values())

    def add(self, name: str, at: float, milliseconds: float, failure: str | None = None) -> None:
        """Note one request: ``at`` is when it was answered, in seconds since the run began."""
        column = self._column(name)
        column.at.append(at)
        column.milliseconds.append(milliseconds)
        column.reason.append(0 if failure is None else self._number(failure))

    def add_batch(self, batch: Batch) -> None:
        """Note what another process has collected.

        Raises:
            ValueError: its columns do not fit together.
        """
        length = len(batch.at)
        if len(batch.milliseconds) != length or any(not 0 <= at < length for at in batch.failures):
            raise ValueError(f"a batch of {batch.name} has columns of different lengths")
        column = self._column(batch.name)
        first = len(column.reason)
        column.at.extend(batch.at)
        column.milliseconds.extend(batch.milliseconds)
        column.reason.frombytes(bytes(column.reason.itemsize * length))
        for position, failure in batch.failures.items():
            column.reason[first + position] = self._number(failure)

    def take(self) -> list[Batch]:
        """All samples, which are then no longer here: what a process hands on and forgets."""
        batches = [
            Batch(
                name,
                column.at,
                column.milliseconds,
                {
                    position: self._reasons[number - 1]
                    for position, number in enumerate(column.reason)
                    if number
                },
            )
            for name, column in self._columns.items()
            if column.at
        ]
        self._columns = {name: _Column() for name in self._columns}
        return batches

    def _column(self, name: str) -> _Column:
        if name not in self._columns:
            self._columns[name] = _Column()
        return self._columns[name]

    def _number(self, failure: str) -> int:
        if failure not in self._numbers:
            if len(self._reasons) >= MOST_REASONS:
                failure = OTHER_REASONS
            if failure not in self._numbers:
                self._reasons.append(failure)
                self._numbers[failure] = len(self._reasons)
        return self._numbers[failure]

    def failures(self) -> Iterator[Failure]:
        """Every request that failed, by endpoint."""
        for name, column in self._columns.items():
            for at, milliseconds, number in zip(
                column.at, column.milliseconds, column.reason, strict=True
            ):
                if number:
                    yield Failure(name, at, milliseconds, self._reasons[number - 1])

    def summary(
        self, since: float = float("-inf"), until: float = float("inf")
    ) -> tuple[Endpoint, ...]:
        """Each endpoint, by name, for what was answered from ``since`` until before ``until``."""
        return tuple(self._endpoint(name, since, until) for name in sorted(self._columns))

    def _endpoint(self, name: str, since: float, until: float) -> Endpoint:
        column = self._columns[name]
        taken: list[float] = []
        counts: Counter[int] = Counter()
        for at, milliseconds, reason in zip(
            column.at, column.milliseconds, column.reason, strict=True
        ):
            if since <= at < until:
                taken.append(milliseconds)
                if reason:
                    counts[reason] += 1
        return Endpoint(
            name=name,
            requests=len(taken),
            failures=counts.total(),
            reasons={self._reasons[number - 1]: count for number, count in counts.most_common()},
            latencies=latencies(taken) if taken else None,
        )

    def points(self, width: float, until: float, users: Callable[[float], int]) -> list[Point]:
        """All endpoints together for the charts, a point for every ``width`` seconds.

        ``users`` says how many there were at a time. What is answered after the last whole
        interval before ``until`` belongs to that one, whose rate is over its whole length: a
        rate over a few milliseconds would be a spike that nobody saw.
        """
        count = max(1, int(until / width))
        taken: defaultdict[int, list[float]] = defaultdict(list)
        failed: Counter[int] = Counter()
        for column in self._columns.values():
            for at, milliseconds, reason in zip(
                column.at, column.milliseconds, column.reason, strict=True
            ):
                interval = min(max(int(at / width), 0), count - 1)
                taken[interval].append(milliseconds)
                if reason:
                    failed[interval] += 1
        return [
            _point(
                at=interval * width,
                seconds=(until - interval * width) if interval == count - 1 else width,
                taken=sorted(taken[interval]),
                failures=failed[interval],
                users=users(interval * width),
            )
            for interval in range(count)
        ]


def _point(at: float, seconds: float, taken: list[float], failures: int, users: int) -> Point:
    return Point(
        at=at,
        users=users,
        requests=len(taken) / seconds,
        failures=failures / seconds,
        p50=percentile(taken, 0.50) if taken else None,
        p95=percentile(taken, 0.95) if taken else None,
        p99=percentile(taken, 0.99) if taken else None,
    )


def latencies(taken: list[float]) -> Latencies:
    """The percentiles of some milliseconds, each the value of a sample.

    Raises:
        ValueError: there are none; a percentile of nothing would pass any limit.
    """
    taken = sorted(taken)  # percentile() sorts as well, which costs next to nothing after this
    return Latencies(
        p50=percentile(taken, 0.50),
        p90=percentile(taken, 0.90),
        p95=percentile(taken, 0.95),
        p99=percentile(taken, 0.99),
        p999=percentile(taken, 0.999),
        mean=sum(taken) / len(taken),
        max=taken[-1],
    )
