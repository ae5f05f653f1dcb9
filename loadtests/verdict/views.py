"""What the reports show beside targets and charts: tables and lists, as text."""

from collections.abc import Iterable
from dataclasses import dataclass

from loadtests.target import THINGS
from loadtests.verdict import crowd
from loadtests.verdict.checks import NOT_MEASURED
from loadtests.verdict.hints import times
from loadtests.verdict.limits import number
from loadtests.verdict.results import Asked, Endpoint, Run


@dataclass(frozen=True)
class Table:
    """The first cell of a row is its name, the others are numbers."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Listing:
    """Names and values."""

    title: str
    rows: tuple[tuple[str, str], ...]


_PERCENTILES = ("p50", "p90", "p95", "p99", "p999", "max")


def title(run: Run) -> str:
    """Like ``airgap async, 10,000 users, one request every 10 s each, ramp``."""
    pace = number(run.pace, "s")
    return (
        f"{run.stack} {run.target}, {run.users:,} users, one request every {pace} each, {run.shape}"
    )


def tables(run: Run, baseline: Run | None) -> list[Table]:
    """Per endpoint, over the whole run and while all users were there; and the baseline's."""
    found = [_endpoints("Endpoints, whole run", run.endpoints, run.seconds)]
    if run.steady:
        seconds = crowd.seconds_with_all(run)
        heading = f"Endpoints, the {number(seconds, 's', 0)} with all users"
        found.append(_endpoints(heading, run.steady, seconds))
    if baseline is not None:
        found.append(_beside(run, baseline))
    if run.cpu:
        total = sum(run.cpu.values())
        used = sorted(run.cpu.items(), key=lambda group: -group[1])
        rows = tuple((name, f"{cores:.2f}", percent(cores / total)) for name, cores in used)
        all_of_them = ("all", f"{total:.2f}", f"of {run.machine.cores} cores")
        found.append(
            Table(
                "Processor, mean over the run", ("processes", "cores", "share"),
                (*rows, all_of_them),
            )
        )  # fmt: skip
    return found


def _endpoints(heading: str, endpoints: Iterable[Endpoint], seconds: float) -> Table:
    return Table(
        title=heading,
        heads=(
            "endpoint", "requests", "per second", "failures",
            "p50 ms", "p90 ms", "p95 ms", "p99 ms", "p99.9 ms", "slowest ms",
        ),
        rows=tuple(
            (
                one.name,
                f"{one.requests:,}",
                per_second(one.requests, seconds),
                _failures(one),
                *(_latency(one, what) for what in _PERCENTILES),
            )
            for one in endpoints
        ),
        note="; ".join(
            f"{one.name} failed {times(count)}: {reason}"
            for one in endpoints
            for reason, count in one.reasons.items()
        ),
    )  # fmt: skip


def without_way(name: str) -> str:
    """The name of an endpoint that both ways to the store have in common."""
    return name.replace(" /api/", " /")


def _beside(run: Run, baseline: Run) -> Table:
    theirs = {without_way(one.name): one for one in baseline.endpoints}
    rows: list[tuple[str, ...]] = []
    for one in run.endpoints:
        other = theirs.get(without_way(one.name))
        rows.append(
            (
                one.name,
                *(
                    text
                    for what in ("p50", "p95", "p99")
                    for text in (_latency(one, what), _latency(other, what) if other else "-")
                ),
                _failures(one),
                _failures(other) if other else "-",
            )
        )
    heads = tuple(f"{what}{whose}" for what in ("p50 ms", "p95 ms", "p99 ms", "failures")
                  for whose in ("", ", baseline"))  # fmt: skip
    return Table(
        "Beside the baseline",
        ("endpoint", *heads),
        tuple(rows),
        note=f"The baseline: {title(baseline)}; {baseline.requests:,} requests, "
        f"{per_second(baseline.requests, baseline.seconds)} a second "
        f"({per_second(run.requests, run.seconds)} here); commits a second "
        f"{_commits(baseline)} ({_commits(run)} here); revision {baseline.revision}, "
        f"{baseline.started_at}.",
    )


def _commits(run: Run) -> str:
    return per_second(run.store.commits, crowd.store_seconds(run)) if run.store else NOT_MEASURED


def per_second(count: int, seconds: float) -> str:
    """A rate, or a dash for one over no time."""
    return f"{count / seconds:,.1f}" if seconds > 0 else "-"


def _failures(one: Endpoint) -> str:
    rate = percent(one.failures / one.requests) if one.requests else "-"
    return f"{one.failures:,} ({rate})" if one.failures else "0"


def percent(share: float) -> str:
    """Of a share between 0 and 1."""
    return f"{100 * share:.2f} %"


def _latency(one: Endpoint, what: str) -> str:
    return f"{getattr(one.latencies, what):,.1f}" if one.latencies else "-"


def listings(run: Run) -> list[Listing]:
    """Ledger, store, cache, and where the load ran."""
    found = [Listing("Ledger", _ledger(run))]
    if run.target != "telemetry":
        found += [Listing("Store", _store(run)), Listing("Reads by id", _cache(run))]
    machine = run.machine
    pace = f"{number(run.pace, 's')} from the beginning of a request to that of the next"
    rows = [
        ("users", f"{run.users:,}, {run.shape}"),
        ("pace of a user", pace),
        *_asked(run.asked),
        ("expected of them", f"{crowd.expected_requests(run):,.0f} requests"),
        ("sent", f"{run.requests:,} requests, {percent(crowd.share_sent(run))}"),
        ("machine", f"{machine.cores} cores, {machine.memory_gib:.1f} GiB, {machine.kernel}"),
        ("load average before", f"{machine.load_before:.2f}"),
        ("what else ran", "; ".join(machine.others) or "nothing that was found"),
    ]
    found.append(Listing("Load and machine", tuple(rows)))
    return found


def generator(asked: Asked) -> str:
    """Like ``2 processes on the machine``."""
    what, where = {
        "machine": ("process", "on the machine"),
        "cluster": ("worker", "on the cluster"),
    }[asked.where]
    ending = "" if asked.workers == 1 else "es" if what.endswith("s") else "s"
    return f"{asked.workers} {what}{ending} {where}"


def _asked(asked: Asked | None) -> tuple[tuple[str, str], ...]:
    if asked is None:
        return ()
    return (
        ("load generator", generator(asked)),
        ("flow", asked.flow),
        ("time asked for", f"{number(asked.seconds, 's')}, at most {asked.rate:g} users a second"),
    )


def _ledger(run: Run) -> tuple[tuple[str, str], ...]:
    books = run.books
    if books is None:
        return (("all of it", NOT_MEASURED),)
    emptied = books.seconds_to_empty
    keys = f"{books.documents:,} {THINGS[run.target]}"
    return (
        ("acknowledged writes", f"{books.acknowledged:,}, of {keys}"),
        ("refused", f"{books.refused:,}"),
        ("without an answer", f"{books.unknown:,}"),
        ("queue empty after", "not in time" if emptied is None else number(emptied, "s", 1)),
        ("lost, stale, never written",
         f"{books.missing:,}, {books.stale:,}, {books.never_written:,}"),
        *((("such as", "; ".join(books.examples)),) if books.examples else ()),
    )  # fmt: skip


def _store(run: Run) -> tuple[tuple[str, str], ...]:
    store = run.store
    if store is None:
        return (("all of it", NOT_MEASURED),)
    seconds = crowd.store_seconds(run)
    per_commit = f", {store.rows / store.commits:,.1f} per commit" if store.commits else ""
    most = [point.commits for point in run.points if point.commits is not None]
    return (
        ("commits", f"{store.commits:,}, {per_second(store.commits, seconds)} a second"),
        ("most of an interval", f"{max(most):,.1f} a second" if most else NOT_MEASURED),
        (
            "flushes of its log",
            f"{store.flushes:,}, {per_second(store.flushes, seconds)} a second",
        ),
        ("documents written", f"{store.rows:,}{per_commit}"),
        ("counted for", f"{store.seconds:,.1f} s, of which there was work for {seconds:,.1f} s"),
    )


def _cache(run: Run) -> tuple[tuple[str, str], ...]:
    cache = run.cache
    if cache is None or cache.hit_rate is None:
        return (("all of it", NOT_MEASURED),)
    return (
        ("hit rate", f"{percent(cache.hit_rate)} of {cache.reads:,}"),
        *((f"from {source}", f"{count:,}") for source, count in cache.by_source.items()),
    )
