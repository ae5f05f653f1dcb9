"""Spans and lines of logs that are lost on their way."""

from typing import Final

from infra.monitoring.forms import Alert, Case, Implied, Said, series

SPANS: Final = Alert(
    "SpansLost",
    'sum by (job) (rate(tracing_spans_total{outcome=~"dropped|refused"}[10m]))'
    " / sum by (job) (rate(tracing_spans_total[10m])) > 0.05",
    severity="ticket",
    layer="symptom",
    owner="platform",
    # The collector's own roll, or a minute without it, is over by then.
    pending="30m",
    summary="{{ $value | humanizePercentage }} of the spans of {{ $labels.job }} are lost",
    description=(
        "For half an hour the collector took too few of them: it is away, refuses them or is"
        " slower than they come. Requests are answered all the same; their traces have holes."
    ),
    implied=(Implied("ServiceDown"),),
    cases=(
        Case(
            {
                series("tracing_spans_total", job="a", outcome="exported"): "0+60x60",
                series("tracing_spans_total", job="a", outcome="dropped"): "0+10x60",
                series("tracing_spans_total", job="a", outcome="refused"): "0+10x60",
                series("tracing_spans_total", job="b", outcome="exported"): "0+99x60",
                series("tracing_spans_total", job="b", outcome="refused"): "0+1x60",
            },
            "45m",
            (Said({"job": "a"}, "25% of the spans of a are lost"),),
        ),
        Case(
            {
                series("tracing_spans_total", job="a", outcome="exported"): "0+60x60",
                series("tracing_spans_total", job="a", outcome="dropped"): "0x20 0+60x10 600x30",
                series("tracing_spans_total", job="a", outcome="refused"): "0x60",
            },
            "45m",
        ),
    ),
)

LOGS: Final = Alert(
    "LogsLost",
    'sum by (reason) (rate(loki_discarded_samples_total{reason!="rate_limited"}[10m])) > 0',
    severity="ticket",
    layer="symptom",
    owner="platform",
    # A reader that began anew brings lines that are too old to be taken; they were there before.
    pending="30m",
    summary="lines of logs are refused: {{ $labels.reason }}",
    description=(
        "For half an hour Loki refused some for good, which no other try mends. While it is away"
        " lines wait on their nodes, as far as those keep them, and are not counted here."
    ),
    cases=(
        Case(
            {series("loki_discarded_samples_total", reason="too_far_behind"): "0+5x60"},
            "45m",
            (Said({"reason": "too_far_behind"}, "lines of logs are refused: too_far_behind"),),
        ),
        Case(
            {series("loki_discarded_samples_total", reason="too_far_behind"): "0+9x9 81x60"},
            "45m",
        ),
    ),
)
