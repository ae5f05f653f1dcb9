"""What Prometheus saw, in the reports; and from where each figure is."""

from collections.abc import Callable, Mapping
from typing import Final

from loadtests.verdict.results import Monitored, Run
from loadtests.verdict.views import Listing, Table, percent

HOW: Final = "Prometheus, every 30 s"
_MOST: Final = 15
"""Containers that are shown: the others idled."""


def tables(run: Run) -> list[Table]:
    """Services and containers; nothing of a run that Prometheus did not see."""
    seen, found = run.monitored, list[Table]()
    if seen is None:
        return found
    if seen.services:
        found.append(_services(seen))
    if seen.containers:
        found.append(_containers(seen))
    return found


def _services(seen: Monitored) -> Table:
    rows = tuple(
        (
            name,
            f"{one.requests:,.1f}",
            "-" if one.failed is None else percent(one.failed),
            "-" if one.p95 is None else f"{one.p95:,.0f}",
        )
        for name, one in sorted(seen.services.items())
    )
    return Table(
        "Services, whole run, by themselves",
        ("service", "per second", "answered with 5xx", "p95 ms"),
        rows,
        note=f"{HOW}: of all clients, from a request's arrival to the end of its response, to "
        "their histograms' bounds. Targets are held to what clients measured.",
    )


def _containers(seen: Monitored) -> Table:
    ranked = sorted(seen.containers.items(), key=lambda one: (-one[1].cores, one[0]))
    rows = [(name, f"{one.cores:.2f}", f"{one.memory_mib:,.0f}") for name, one in ranked]
    rest = f" {len(rows) - _MOST} others took less processor time." if len(rows) > _MOST else ""
    return Table(
        "Containers, by name",
        ("container", "cores, mean over the run", "most memory MiB"),
        tuple(rows[:_MOST]),
        note=f"{HOW}, wherever they ran; all of a name together.{rest}",
    )


def listings(run: Run) -> list[Listing]:
    """Alerts, budgets, what waited; then where all figures are from."""
    seen = run.monitored
    if seen is None:
        return []
    found = [] if seen.missing else [Listing(HOW, _rows(seen))]
    return [*found, Listing("Where figures are from", _sources(seen))]


def _rows(seen: Monitored) -> tuple[tuple[str, str], ...]:
    return (
        ("alerts that fired", "; ".join(seen.alerts) or "none"),
        (
            "error budgets burnt, of what their period allows",
            _listed(seen.burnt, percent) or "none",
        ),
        ("most messages not handled yet", _listed(seen.lag, lambda n: f"{n:,.0f}") or "-"),
        ("oldest event not sent", _listed(seen.oldest, lambda s: f"{s:,.0f} s") or "-"),
    )


def _listed(values: Mapping[str, float], written: Callable[[float], str]) -> str:
    ranked = sorted(values.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{name} {written(value)}" for name, value in ranked)


def _sources(seen: Monitored) -> tuple[tuple[str, str], ...]:
    what = "services by themselves, containers, alerts, error budgets, messages and events"
    return (
        ("requests, latency, failures", "the load generator, every request"),
        ("commits, flushes", "the store's counters, before and after; charts every 2 s"),
        ("queue, reads by id, ready pods", "the services' metrics, every 2 s"),
        ("processor", "the accounts of this machine's kernel, every 2 s"),
        (what, f"not known: {seen.missing}" if seen.missing else HOW),
    )
