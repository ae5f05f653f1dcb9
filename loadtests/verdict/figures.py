"""Which charts a run has: the series of its points, and what each is held against."""

from collections.abc import Callable, Iterable

from loadtests.target import THINGS
from loadtests.verdict.charts import Chart, Series
from loadtests.verdict.results import Point, Run
from loadtests.verdict.targets import Targets

MOST = 7
"""Series in one chart: more could not be told apart by their colours."""

Value = Callable[[Point], float | None]


def charts(run: Run, targets: Targets) -> list[Chart]:
    """All charts in the order of the report, those that show nothing left out."""
    must = targets.endpoints[0].must.latency
    found = [
        _chart(
            run,
            "Latency",
            "ms",
            {"p50": lambda p: p.p50, "p95": lambda p: p.p95, "p99": lambda p: p.p99},
            limit=must.p95.value,
            every_point=True,
        ),
        _chart(
            run,
            "Requests and failures",
            "per second",
            {"requests": lambda p: p.requests, "failures": lambda p: p.failures},
        ),
        _chart(run, "Users", "users", {"users": lambda p: p.users}),
        _chart(
            run,
            "Queue",
            THINGS[run.target],
            {"accepted, not stored": lambda p: p.queue, "taken by no writer": lambda p: p.lag},
        ),
        _chart(
            run,
            "Commits and flushes of the store",
            "per second",
            {"commits": lambda p: p.commits, "flushes": lambda p: p.flushes},
            limit=targets.commits.value if targets.commits else None,
        ),
    ]
    used = _names(point.cpu for point in run.points)
    groups = {name: _cpu((name,)) for name in used[:MOST]}
    if rest := tuple(used[MOST:]):
        groups["all others"] = _cpu(rest)
    found.append(_chart(run, "Processor, by group of processes", "cores", groups, stacked=True))
    pods = {name: _pods(name) for name in _changing(run)[:MOST]}
    found.append(_chart(run, "Ready pods", "pods", pods, stairs=True))
    return [chart for chart in found if chart.measured]


def _cpu(names: tuple[str, ...]) -> Value:
    return lambda p: sum(p.cpu.get(name, 0.0) for name in names) if p.cpu else None


def _pods(name: str) -> Value:
    return lambda point: point.pods.get(name, 0) if point.pods else None


def _changing(run: Run) -> list[str]:
    """The workloads, those first whose pods came and went most."""
    looks = [point.pods for point in run.points if point.pods]
    names = {name for pods in looks for name in pods}
    counts = {name: {pods.get(name, 0) for pods in looks} for name in names}
    return sorted(names, key=lambda name: (min(counts[name]) - max(counts[name]), name))


def _names(groups: Iterable[dict[str, float]]) -> list[str]:
    """Every name that comes up, the largest sum first."""
    sums: dict[str, float] = {}
    for group in groups:
        for name, value in group.items():
            sums[name] = sums.get(name, 0.0) + value
    return sorted(sums, key=lambda name: (-sums[name], name))


def _chart(
    run: Run,
    title: str,
    unit: str,
    series: dict[str, Value],
    *,
    limit: float | None = None,
    stacked: bool = False,
    stairs: bool = False,
    every_point: bool = False,
) -> Chart:
    """Observers look less often than there are points, so only points with a value are drawn;
    with ``every_point`` one without is a gap, for nothing was answered then."""
    seen = [
        p
        for p in run.points
        if every_point or any(value(p) is not None for value in series.values())
    ]
    return Chart(
        title=title,
        unit=unit,
        times=[point.at for point in seen],
        series=[Series(name, [value(p) for p in seen]) for name, value in series.items()],
        limit=limit,
        stacked=stacked,
        stairs=stairs,
    )
