"""That somebody was told not long ago: what silences who only looks back to it."""

from typing import Final

from infra.monitoring.forms import Alert, Case, Said, series

_LOOKS_BACK: Final = "35m"
"""As long as half an hour's window still holds what is over."""


def _fired(values: str) -> dict[str, str]:
    of = {"job": "kafka", "layer": "server", "severity": "page", "alertstate": "firing"}
    budget = {"job": "a", "layer": "symptom", "severity": "page", "alertstate": "firing"}
    return {
        series("ALERTS", alertname="ServerDown", **of): values,
        series("ALERTS", alertname="LatencyBudgetBurns", **budget): "1x60",
    }


RECENT: Final = Alert(
    "RecentCause",
    # The layer of a rule is its own; that of what fired is kept under another name.
    'label_replace(max by (job, layer) (max_over_time(ALERTS{alertname!~".+BudgetBurns",'
    f' alertstate="firing", job!="", severity="page"}}[{_LOOKS_BACK}])),'
    ' "cause", "$1", "layer", "(.*)")',
    severity="none",
    layer="symptom",
    owner="platform",
    summary="somebody was told of {{ $labels.job }} not long ago",
    description=(
        "Nobody is told. It silences alerts whose windows look back to what is over, and was told."
    ),
    cases=(
        Case(
            _fired("1x5 _x60"),
            "39m",
            (Said({"job": "kafka", "cause": "server"}, "somebody was told of kafka not long ago"),),
        ),
        Case(_fired("1x5 _x60"), "41m"),
    ),
)
