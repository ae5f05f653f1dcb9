"""What Prometheus says of the platform at this moment, for `make status`: few lines, soon."""

import math
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bootstrap.kube import Kube, KubeError
from bootstrap.prometheus import AwayError, Firing, Prometheus, QueryError, Where, published

SECONDS: Final = 2.0
"""For all that is asked: who wants to know what runs does not wait for figures."""
FUSE: Final = 200_000
"""Entries that the stream takes, where the stack does not say otherwise."""
SEVERITIES: Final = ("page", "ticket")
_FUSE_VARIABLE: Final = "INGEST_MAX_QUEUE"
_LEAST_BUDGETS: Final = 3
_MOST_ALERTS: Final = 10
_WINDOW: Final = "5m"
_CLIENTS: Final = 'route!~"/health|/ready|/metrics"'
_CALLS: Final = 'grpc_service!~"grpc.health.+|grpc.reflection.+"'
_STREAMED: Final = '".+_stream"'
_BROKEN: Final = "UNKNOWN|INTERNAL|DATA_LOSS"
_NOT_SERVED: Final = "DEADLINE_EXCEEDED|UNAVAILABLE"
"""A fault as well, but for streams, which end with them when all is well."""
BUDGETS: Final = "slo:error_budget_remaining:ratio"
LAG: Final = "sum by (job) (kafka_consumer_lag)"
OLDEST: Final = "max by (job) (outbox_oldest_unsent_age_seconds)"
ENTRIES: Final = "max(ingest_stream_entries)"


def requests(window: str) -> str:
    """Per second, by service, calls by gRPC among them, probes aside."""
    calls = f"rate(grpc_server_handled_total{{{_CALLS}}}[{window}])"
    return f"sum by (job) (rate(http_requests_total{{{_CLIENTS}}}[{window}]) or {calls})"


def failed(window: str) -> str:
    """Their share that was our fault, as 5xx are; nothing of a service without requests."""
    every = requests(window)
    faults = " or ".join(
        f"rate({of}[{window}])"
        for of in (
            f'http_requests_total{{{_CLIENTS},status=~"5.."}}',
            _ended(f"grpc_type!~{_STREAMED}", f"{_BROKEN}|{_NOT_SERVED}"),
            _ended(f"grpc_type=~{_STREAMED}", _BROKEN),
        )
    )
    return f"(sum by (job) ({faults}) or 0 * ({every})) / ({every})"


def _ended(kind: str, codes: str) -> str:
    return f'grpc_server_handled_total{{{_CALLS},{kind},grpc_code=~"{codes}"}}'


def p95(window: str) -> str:
    """Seconds, by service."""
    once = f"{_CALLS},grpc_type!~{_STREAMED}"
    buckets = (
        f"rate(http_request_duration_seconds_bucket{{{_CLIENTS}}}[{window}])"
        f" or rate(grpc_server_handling_seconds_bucket{{{once}}}[{window}])"
    )
    return f"histogram_quantile(0.95, sum by (le, job) ({buckets}))"


@dataclass
class Figures:
    """What was asked and answered; what is not known is not in it, and `problem` says why."""

    firing: tuple[Firing, ...] | None = None
    requests: Mapping[str, float] = field(default_factory=dict[str, float])
    """Per second, by service, probes aside; as those below over the last five minutes."""
    failed: Mapping[str, float] = field(default_factory=dict[str, float])
    """Share of these; nothing where there were none."""
    p95: Mapping[str, float] = field(default_factory=dict[str, float])
    """Seconds."""
    budgets: Mapping[str, float] = field(default_factory=dict[str, float])
    lag: Mapping[str, float] = field(default_factory=dict[str, float])
    oldest: Mapping[str, float] = field(default_factory=dict[str, float])
    entries: float | None = None
    problem: str = ""

    @property
    def well(self) -> bool:
        """Whether nothing fires that somebody is woken for."""
        return not any(one.labels.get("severity") == "page" for one in self.firing or ())


def figures(kube: Kube) -> Figures:
    """Of the cluster that this checkout made. A Prometheus that is not there is no accident."""
    try:
        return ask(published(kube, SECONDS))
    except (KubeError, ssl.SSLError) as error:  # the latter: what is there is no certificate
        return Figures(problem=str(error))


def ask(where: Where, within: float = SECONDS) -> Figures:
    """All of it, alerts first; what is not answered within so many seconds is left out."""
    found = Figures()
    with where.client() as http:
        asking = Prometheus(http, within)

        def by(label: str, expr: str) -> dict[str, float]:
            return {one.labels.get(label, ""): one.value for one in asking.now(expr)}

        try:
            found.firing = asking.firing()
            found.requests = by("job", requests(_WINDOW))
            found.failed = by("job", failed(_WINDOW))
            found.p95 = by("job", p95(_WINDOW))
            found.budgets = by("slo", BUDGETS)
            found.lag = by("job", LAG)
            found.oldest = by("job", OLDEST)
            found.entries = by("", ENTRIES).get("")
        except (AwayError, QueryError) as error:
            found.problem = str(error)
    return found


def fuse(objects: Sequence[Any]) -> int:
    """How many entries the stream takes, by the variables of who fills it."""
    for item in objects:
        pod = item.get("spec", {}).get("template", {}).get("spec", {})
        for container in pod.get("containers", ()):
            for variable in container.get("env", ()):
                if variable["name"] == _FUSE_VARIABLE and "value" in variable:
                    return int(variable["value"])
    return FUSE


def show(found: Figures, most_entries: int, console: Console) -> None:
    """Print them; what is not known takes no line."""
    if found.firing is not None:
        _print_alerts(console, found.firing)
    if found.requests:
        _print_services(console, found)
    lines = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    lines.add_column(no_wrap=True)
    lines.add_column()
    for what, said in _lines(found, most_entries):
        lines.add_row(what, escape(said))
    if lines.row_count:
        console.print(lines, highlight=False)
    if found.problem:
        which = "figures" if found.firing is None else "more figures"
        console.print(
            f"no {which} from Prometheus: {found.problem}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip


def _print_alerts(console: Console, firing: Sequence[Firing]) -> None:
    """Pages, then tickets. What is for nobody (severity none) is not shown."""
    told = [one for severity in SEVERITIES for one in firing if _severity(one) == severity]
    if not told:
        console.print("alerts: [green]none fires[/green]", highlight=False)
        return
    for one in told[:_MOST_ALERTS]:
        severity, name = _severity(one), one.labels.get("alertname", "")
        colour = "red" if severity == "page" else "yellow"
        summary = escape(one.annotations.get("summary", ""))
        console.print(
            f"[{colour}]{severity:<6}[/{colour}] {escape(name)}: {summary}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    if len(told) > _MOST_ALERTS:
        rest = Counter(_severity(one) for one in told[_MOST_ALERTS:])
        counts = ", ".join(f"{count} of severity {name}" for name, count in rest.items())
        console.print(f"and {counts} more; `make dashboard` has all", highlight=False)


def _severity(one: Firing) -> str:
    return one.labels.get("severity", "")


def _print_services(console: Console, found: Figures) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("over five minutes", no_wrap=True)
    for heading in ("requests/s", "failed", "p95"):
        table.add_column(heading, no_wrap=True, justify="right")
    for job, every in sorted(found.requests.items()):
        bad, slow = found.failed.get(job), found.p95.get(job)
        table.add_row(
            job,
            f"{every:,.1f}",
            "-" if bad is None else _percent(bad),
            "-" if slow is None else f"{1000 * slow:,.0f} ms",
        )
    console.print(table)


def _lines(found: Figures, most_entries: int) -> Iterator[tuple[str, str]]:
    if found.budgets:
        least = sorted(found.budgets.items(), key=lambda one: (one[1], one[0]))[:_LEAST_BUDGETS]
        yield "least error budget left", _listed({slo: _percent(left) for slo, left in least})
    if found.lag:
        yield "messages not handled yet", _by_size(found.lag, "{:,.0f}")
    if found.oldest:
        yield "oldest event not sent", _by_size(found.oldest, "{:,.0f} s")
    if found.entries is not None:
        share = _percent(found.entries / most_entries)
        yield "documents in the stream", f"{found.entries:,.0f} of {most_entries:,} ({share})"


def _by_size(values: Mapping[str, float], form: str) -> str:
    ranked = sorted(values.items(), key=lambda one: (-one[1], one[0]))
    return _listed({name: form.format(value) for name, value in ranked})


def _listed(said: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in said.items())


def _percent(share: float) -> str:
    """Rounded down: what is not quite all of a budget is not shown as all of it."""
    percent = 100 * share
    return f"{percent:.2f} %" if 0 < percent < 1 else f"{math.floor(percent + 1e-9):,} %"
