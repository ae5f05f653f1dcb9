"""Adds up what a run was: its samples, what observers saw, the books."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from loadtests.observers.services import DATABASE, NOTHING
from loadtests.observers.watch import Watch
from loadtests.run.intake import Intake
from loadtests.run.machine import machine, revision
from loadtests.run.plan import Plan
from loadtests.run.points import points
from loadtests.verdict.results import Asked, Books, Cache, Monitored, Run, Store

POINT_SECONDS = 2.0
MOST_POINTS = 600


@dataclass(frozen=True)
class Circumstances:
    """Where a run took place."""

    root: Path
    """Of the checkout."""
    stack: str
    load_before: float
    cpu_before: Mapping[str, float]
    """Cores by group of processes, before anything was asked of the platform."""
    monitored: Monitored
    """What was seen of it there all the while."""


def add_up(
    plan: Plan, intake: Intake, watch: Watch, books: Books | None, around: Circumstances
) -> Run:
    """The results of a run that came to its end, and made at least one request."""
    began = intake.began
    took = intake.last_answer - began
    width = max(POINT_SECONDS, took / MOST_POINTS)
    bare = intake.samples.points(width, took, intake.users_at)
    services = watch.services
    steady = intake.steady
    return Run(
        stack=around.stack,
        target=plan.target,
        shape=plan.shape,
        users=plan.users,
        pace=plan.pace,
        asked=Asked(
            flow=plan.flow,
            seconds=plan.seconds,
            rate=plan.rate,
            workers=plan.workers,
            where=plan.where,
        ),
        started_at=datetime.fromtimestamp(began, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        revision=revision(around.root),
        seconds=took,
        machine=machine(around.load_before, around.cpu_before),
        endpoints=intake.samples.summary(),
        steady=intake.samples.summary(*steady) if steady else (),
        points=points(
            bare,
            began=began,
            width=width,
            services=services.looks,
            store=watch.store.looks if watch.store else (),
            processor=watch.processor.looks,
        ),
        cpu=watch.processor.mean(began, began + took),
        store=_store(watch),
        cache=_cache(services.reads.by_source),
        books=books,
        monitored=around.monitored,
    )


def _store(watch: Watch) -> Store | None:
    before, after = watch.before, watch.after
    if before is None or after is None:
        return None
    return Store(
        seconds=watch.seconds,
        commits=after.transactions - before.transactions,
        flushes=after.flushes - before.flushes,
        rows=after.rows - before.rows,
    )


def _cache(by_source: Mapping[str, int]) -> Cache | None:
    if not by_source:
        return None
    reads = sum(by_source.values())
    hits = reads - by_source.get(DATABASE, 0) - by_source.get(NOTHING, 0)
    return Cache(by_source=dict(by_source), hits=hits, reads=reads)
