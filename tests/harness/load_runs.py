"""Load runs as a healthy platform gives them, for tests that then break one thing."""

from typing import Any

from loadtests.verdict.results import Books, Cache, Endpoint, Machine, Point, Run, Store
from loadtests.verdict.samples import Samples

POST, GET, LIST = "POST /api/data", "GET /api/data/{id}", "GET /api/data"
USERS, PACE, RAMP, SECONDS = 100, 1.0, 10, 40
JOURNEY = (*[POST] * 6, *[GET] * 13, LIST)


def users_at(second: float) -> int:
    """All of them after the ramp."""
    return min(USERS, int(USERS * (second + 1) / RAMP))


def healthy_samples(milliseconds: float = 20.0) -> Samples:
    """Every user makes one request each second, by turns of the journey."""
    samples = Samples()
    for second in range(SECONDS):
        for user in range(users_at(second)):
            name = JOURNEY[(user + second) % len(JOURNEY)]
            samples.add(name, second + user / USERS, milliseconds + user / 10)
    return samples


def points_of(samples: Samples) -> tuple[Point, ...]:
    """A point a second, with everything measured."""
    return tuple(
        point.model_copy(
            update={
                "queue": 40.0,
                "lag": 5.0,
                "commits": 60.0,
                "flushes": 62.0,
                "cpu": {"load generator": 0.7, "ingest-service": 0.4},
                "pods": {"ingest-service": 2, "stream-writer": 1},
            }
        )
        for point in samples.points(1.0, SECONDS, users=users_at)
    )


def books(**changes: Any) -> Books:
    """A ledger in which everything is as it should be."""
    values: dict[str, Any] = {
        "acknowledged": 1062,
        "documents": 1000,
        "refused": 0,
        "unknown": 0,
        "seconds_to_empty": 0.4,
        "missing": 0,
        "stale": 0,
        "never_written": 0,
    }
    return Books(**values | changes)


def run_of(samples: Samples | None = None, **changes: Any) -> Run:
    """A run that reaches every target and aim of airgap, async, but for what is changed."""
    taken = healthy_samples() if samples is None else samples
    values: dict[str, Any] = {
        "stack": "airgap",
        "target": "async",
        "shape": "ramp",
        "users": USERS,
        "pace": PACE,
        "started_at": "2026-11-21T12:00:00Z",
        "revision": "0123456789ab",
        "seconds": float(SECONDS),
        "machine": Machine(cores=2, memory_gib=23.5, kernel="6.1.0", load_before=0.2),
        "endpoints": taken.summary(),
        "steady": taken.summary(since=RAMP),
        "points": points_of(taken),
        "cpu": {"load generator": 0.7, "ingest-service": 0.4},
        "store": Store(seconds=SECONDS, commits=2400, flushes=2480, rows=1000),
        "cache": Cache(
            by_source={"pending": 20, "local": 1900, "shared": 70, "database": 10}, hits=1990,
            reads=2000,
        ),
        "books": books(),
    }  # fmt: skip
    return Run(**values | changes)


def with_endpoint(run: Run, name: str, **changes: Any) -> Run:
    """The run with one endpoint changed."""
    changed: tuple[Endpoint, ...] = tuple(
        one.model_copy(update=changes) if one.name == name else one for one in run.endpoints
    )
    return run.model_copy(update={"endpoints": changed})


def without_endpoint(run: Run, name: str) -> Run:
    """The run as if nobody had heard of one endpoint."""
    left = tuple(one for one in run.endpoints if one.name != name)
    return run.model_copy(update={"endpoints": left})
