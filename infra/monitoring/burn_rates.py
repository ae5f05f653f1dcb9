"""Rules made of the objectives: how fast a budget burns, what is left of it, and whom to tell.

Four pairs of windows. The long one says that enough was lost to matter, the short one that it is
still going on, so that an alert ends soon after its reason. A page at 2 % of the budget in an hour
or 5 % in six; a ticket at 10 % in a day or in three. Source: The Site Reliability Workbook
(Beyer et al., 2018), chapter 5, "Multiwindow, Multi-Burn-Rate Alerts", for 30 days.

The recorded series, all with `slo`, `kind` and `job`:

- `slo:bad_events:rate5m`, `slo:events:rate5m`: per second
- `slo:sli_error:ratio_rate5m` … `ratio_rate30d`: bad events per event
- `slo:objective:ratio`: what was promised
- `slo:error_budget_remaining:ratio`: 1 nothing burnt, 0 nothing left, below that broken
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from infra.model.records import RECORDS, Records
from infra.monitoring.forms import (
    Alert,
    Case,
    Group,
    Implied,
    Recording,
    RecordingCase,
    Said,
    Sample,
    Severity,
    series,
)
from infra.monitoring.indicators import Kind
from infra.monitoring.recent import RECENT
from infra.monitoring.slos import PERIOD_DAYS, Slo, slos


@dataclass(frozen=True)
class Burn:
    """A pair of windows, and how many times faster than allowed both have to burn."""

    long: str
    short: str
    factor: float
    severity: Severity
    spent: str
    """What is gone of the budget by then."""


BURNS: Final = (
    Burn("1h", "5m", 14.4, "page", "2 % of the budget"),
    Burn("6h", "30m", 6, "page", "5 % of the budget"),
    Burn("1d", "2h", 3, "ticket", "10 % of the budget"),
    Burn("3d", "6h", 1, "ticket", "10 % of the budget"),
)
PERIOD: Final = f"{PERIOD_DAYS}d"
WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d", PERIOD)

_ALERTS: Final[Mapping[Kind, str]] = {
    "availability": "AvailabilityBudgetBurns",
    "latency": "LatencyBudgetBurns",
    "freshness": "FreshnessBudgetBurns",
}
_SO: Final[Mapping[Kind, str]] = {
    "availability": "too many requests of {{ $labels.job }} fail",
    "latency": "too many requests of {{ $labels.job }} are slow",
    "freshness": "what {{ $labels.job }} has to do comes too late",
}


_PLAINER: Final[Mapping[Kind, tuple[str, ...]]] = {
    "availability": ("DocumentsRefused",),
    # What ends in a timeout was slow before it failed.
    "latency": ("AvailabilityBudgetBurns",),
    "freshness": ("OutboxOldestEvent", "StreamFills", "StreamOldestEntry", "ConsumerStuck"),
}


class ObjectiveError(ValueError):
    """An objective for which no alert could ever fire; the message says which and why."""


def groups(records: Records = RECORDS) -> tuple[Group, Group]:
    """What each objective counts, and what is made of all of them alike.

    Raises:
        ObjectiveError: one is so low that its budget cannot burn as fast as the alerts ask.
    """
    all_of_them = slos(records)
    for slo in all_of_them:
        _check(slo)
    return (
        Group("objectives", tuple(rule for slo in all_of_them for rule in _of_one(slo))),
        Group(
            "budgets",
            (
                *(_ratio(window) for window in WINDOWS),
                _remaining(),
                *(_alert(kind, burn) for kind in _ALERTS for burn in BURNS),
                RECENT,
            ),
        ),
    )


def _check(slo: Slo) -> None:
    fastest = max(burn.factor for burn in BURNS)
    if not 0 < slo.budget * fastest < 1:
        raise ObjectiveError(
            f"{slo.name} promises {slo.target:%}: the fastest alert waits for {fastest:g} times "
            f"its budget, {slo.budget * fastest:.0%} of all events, which never comes; promise "
            f"more than {1 - 1 / fastest:.1%} and less than 100 %"
        )


def _of_one(slo: Slo) -> Iterator[Recording]:
    example, labels = slo.example, dict(slo.labels)
    for name, expr, value in (
        ("slo:bad_events:rate5m", slo.bad, example.bad),
        ("slo:events:rate5m", slo.total, example.total),
    ):
        case = RecordingCase(example.series, "10m", (Sample(labels, value),))
        yield Recording(name, expr, labels, (case,))
    always = RecordingCase({"up": "1x2"}, "2m", (Sample(labels, slo.target),))
    yield Recording("slo:objective:ratio", f"vector({slo.target})", labels, (always,))


_OF: Final = {"slo": "s", "kind": "availability", "job": "j"}


def _fed(bad: str, total: str) -> dict[str, str]:
    return {
        series("slo:bad_events:rate5m", **_OF): bad,
        series("slo:events:rate5m", **_OF): total,
    }


def _ratio(window: str) -> Recording:
    bad, total = (
        f"avg_over_time({name}[{window}])"
        for name in ("slo:bad_events:rate5m", "slo:events:rate5m")
    )
    # Weighed by events: an hour with few of them says little. Without any, none was bad.
    return Recording(
        f"slo:sli_error:ratio_rate{window}",
        f"{bad} / ({total} > 0) or {total} * 0",
        cases=(
            RecordingCase(_fed("1x10", "4x10"), "10m", (Sample(_OF, 0.25),)),
            RecordingCase(_fed("0x10", "0x10"), "10m", (Sample(_OF, 0),)),
        ),
    )


def _remaining() -> Recording:
    fed = {
        series(f"slo:sli_error:ratio_rate{PERIOD}", **_OF): "0.125x10",
        series("slo:objective:ratio", **_OF): "0.75x10",
    }
    return Recording(
        "slo:error_budget_remaining:ratio",
        f"1 - slo:sli_error:ratio_rate{PERIOD} / (1 - slo:objective:ratio)",
        cases=(RecordingCase(fed, "10m", (Sample(_OF, 0.5),)),),
    )


def _alert(kind: Kind, burn: Burn) -> Alert:
    matcher = f'{{kind="{kind}"}}'
    allowed = f"{burn.factor:g} * (1 - slo:objective:ratio{matcher})"
    long, short = (
        f"slo:sli_error:ratio_rate{window}{matcher}" for window in (burn.long, burn.short)
    )
    return Alert(
        _ALERTS[kind],
        f"{long} > {allowed} and {short} > {allowed}",
        severity=burn.severity,
        layer="symptom",
        owner="services",
        # A page waits for its cause to be noticed first, which then silences it.
        pending="2m" if burn.severity == "page" else "15m",
        labels={"window": burn.long},
        summary="{{ $labels.slo }}: {{ $value | humanizePercentage }} bad within " + burn.long,
        description=(
            f"{burn.spent} of {PERIOD_DAYS} days was burnt within {burn.long}, and it goes on: "
            f"{_SO[kind]}."
        ),
        cases=_cases(kind, burn),
        implied=_implied(kind),
    )


def _implied(kind: Kind) -> tuple[Implied, ...]:
    """Pages of the same job that are more to the point."""
    return tuple(Implied(name) for name in _PLAINER.get(kind, ()))


def _cases(kind: Kind, burn: Burn) -> tuple[Case, ...]:
    """A quiet time, then for a little longer than the window a budget of 0.1 % that burns a little
    faster than the alert allows; a little slower; and faster, but no more. Windows that are longer
    may burn as well: what is said is what all four pairs do."""
    return (
        _case(kind, burn, 1.1),
        _case(kind, burn, 0.9),
        _case(kind, burn, 1.1, over=2),
    )


def _case(kind: Kind, burn: Burn, share: float, over: int = 0) -> Case:
    of, budget, rate = _OF | {"kind": kind}, 0.001, burn.factor * share
    # A value each short window: values every few minutes for three days would take promtool long.
    step = _minutes(burn.short)
    burning = _minutes(burn.long) // step + 1
    quiet = 2 * _minutes(burn.long) // step
    steps = quiet + burning + over
    fed = {
        series("slo:bad_events:rate5m", **of): " ".join(
            f"{value:g}x{count - 1}"
            for value, count in ((0.0, quiet), (rate * budget, burning), (0.0, over))
            if count
        ),
        series("slo:events:rate5m", **of): f"1x{steps}",
        series("slo:objective:ratio", **of): f"{1 - budget}x{steps}",
    }

    def mean(window: str) -> float:
        """Times the budget."""
        # The value of this very moment is in every window.
        length = min(max(_minutes(window) // step, 1), steps)
        return rate * max(0, min(length - over, burning)) / length

    said = tuple(
        Said(
            of | {"window": other.long},
            f"s: {mean(other.long) * budget * 100:.4g}% bad within {other.long}",
        )
        for other in BURNS
        if mean(other.long) > other.factor and mean(other.short) > other.factor
    )
    return Case(fed, f"{(steps - 1) * step}m", said, step=f"{step}m")


def _minutes(window: str) -> int:
    return int(window[:-1]) * {"m": 1, "h": 60, "d": 1440}[window[-1]]
