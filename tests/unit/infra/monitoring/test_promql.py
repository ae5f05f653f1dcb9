"""Queries are written as Prometheus reads them."""

import pytest

from infra.monitoring.boards.promql import metric_names, or_zero, quantile, rate, series


def test_a_series_is_asked_for_by_labels_and_how_they_compare():
    assert series("up") == "up"
    assert (
        series("m", a="x", b="~y|z", c="!", d="!~/health|/x", e='say "\\"')
        == r'm{a="x",b=~"y|z",c!="",d!~"/health|/x",e="say \"\\\""}'
    )


def test_rates_and_quantiles_keep_the_labels_they_are_by():
    assert rate("a_total", ("job",), x="1") == 'sum by (job) (rate(a_total{x="1"}[$window]))'
    assert rate("a_total") == "sum(rate(a_total[$window]))"
    assert quantile(0.95, "h", ("route",)) == (
        "histogram_quantile(0.95, sum by (le, route) (rate(h_bucket[$window])))"
    )


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ("up", {"up"}),
        (or_zero("count(up == 0)"), {"up"}),
        ('sum by (job) (rate(a_total{b="c_total", d=~"e{f}"}[5m])) / on(job) h', {"a_total", "h"}),
        ("avg(x) by (pod) > bool 1e6 and -y offset 5m", {"x", "y"}),
        ("slo:error:ratio_rate1h unless ignoring (le) z{}", {"slo:error:ratio_rate1h", "z"}),
        ("label_replace(m, 'a', 'not_$1', 'b', 'not_me(.*)') * 0x1f", {"m"}),
        ("time() - max(t_seconds) < Inf", {"t_seconds"}),
        ("sum without (pod) (n) / group_left(job) k", {"n", "k"}),
    ],
)
def test_metrics_of_a_query_are_found_and_nothing_else(expr: str, names: set[str]):
    assert metric_names(expr) == names
