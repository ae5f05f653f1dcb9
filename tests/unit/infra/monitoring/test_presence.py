"""An alert whose series are gone is quiet: each name is missed, or it is said why not."""

from collections.abc import Iterator

import promql_parser
import pytest

from infra.model.records import RECORDS
from infra.monitoring import catalogue, exporters, presence
from infra.monitoring.forms import Alert, Recording
from tests.unit.infra.monitoring.test_names import RULES, selectors

ALERTS = [rule for rule in RULES if isinstance(rule, Alert)]
MISSED = {one.metric for one in presence.expected(RECORDS)}


def asked(expr: str) -> set[str]:
    return {name for name, _ in selectors(promql_parser.parse(expr))}


def recorded() -> dict[str, set[str]]:
    """Name of each recording to what all rules of that name are made of."""
    made: dict[str, set[str]] = {}
    for rule in RULES:
        if isinstance(rule, Recording):
            made.setdefault(rule.name, set()).update(asked(rule.expr))
    return made


RECORDED = recorded()


def goes_by(expr: str) -> Iterator[str]:
    """Names of what is scraped, behind whatever is recorded of it."""
    seen, left = set[str](), asked(expr)
    while left:
        name = left.pop()
        seen.add(name)
        if name in RECORDED:
            left |= RECORDED[name] - seen
        else:
            yield name


@pytest.mark.parametrize("alert", ALERTS, ids=lambda a: f"{a.name}-{a.labels.get('window', '')}")
def test_what_an_alert_goes_by_is_missed_or_may_be_absent(alert: Alert):
    unsaid = {*goes_by(alert.expr)} - MISSED - {*presence.MAY_BE_ABSENT}
    assert not unsaid, "put each into a table of infra/monitoring/presence.py"


def test_a_name_that_nobody_chose_for_is_found():
    assert {*goes_by("slo:sli_error:ratio_rate1h > 1")} & {"http_requests_total"}
    assert {*goes_by("sum(new_gauge) > 1")} - MISSED - {*presence.MAY_BE_ABSENT} == {"new_gauge"}


def test_what_may_be_absent_is_asked_for_and_not_missed():
    others = [alert for alert in ALERTS if alert.name != "SeriesAbsent"]
    used = {name for alert in others for name in goes_by(alert.expr)}
    assert {*presence.MAY_BE_ABSENT} <= used
    assert not {*presence.MAY_BE_ABSENT} & MISSED
    # These two stand for others: that a service answers at all, and that it consumes.
    assert used | {"service_ready", *presence.OF_CONSUMERS} >= MISSED


def test_each_series_is_missed_where_it_comes_from():
    for package, names in presence.OF_PACKAGES.items():
        known = {name for one in catalogue.registered(package).values() for name in one.series}
        assert {*names} <= known, package
    for service in RECORDS.services:
        known = {
            name for one in catalogue.registered(service.package).values() for name in one.series
        }
        wanted = {one.metric for one in presence.expected(RECORDS) if one.job == service.name}
        # The library collects it for every process.
        assert wanted - {"tracing_spans_total"} <= known, service.name
    told = exporters.names("OpenTelemetry Collector, k8s_cluster receiver")
    assert {*presence.OF_OBJECTS} <= told


def test_a_server_that_an_exporter_asks_is_one_that_knows_nothing_of_it():
    assert "kafka" not in presence.asked(RECORDS)
    assert {*presence.asked(RECORDS)} == {s.name for s in RECORDS.servers if s.engine != "kafka"}
