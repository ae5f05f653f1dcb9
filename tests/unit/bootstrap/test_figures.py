"""`make status` shows what Prometheus says, soon, and goes without where it says nothing."""

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from rich.console import Console

from bootstrap import figures
from bootstrap.checkout import Checkout
from bootstrap.figures import BUDGETS, ENTRIES, LAG, OLDEST, Figures
from bootstrap.kube import Kube
from bootstrap.prometheus import Where
from infra.model.records import RECORDS
from infra.monitoring import indicators
from infra.monitoring.boards import boards
from infra.monitoring.boards.board import NEEDS
from infra.monitoring.boards.promql import metric_names
from infra.monitoring.boards.service import PROBES
from services.ingest_service.settings import IngestSettings
from tests.harness.prometheus_api import Api, error, instant, served

REQUESTS, FAILED, P95 = figures.requests("5m"), figures.failed("5m"), figures.p95("5m")
QUERIES = (REQUESTS, FAILED, P95, BUDGETS, LAG, OLDEST, ENTRIES)
PATIENT = 60.0
"""Seconds: what is said in the end, on a machine that may have much else to do."""


@pytest.fixture
def api() -> Iterator[Api]:
    with served(Api()) as running:
        yield running


def alert(name: str, severity: str, summary: str, state: str = "firing") -> dict[str, Any]:
    labels = {"alertname": name, "severity": severity}
    return {"labels": labels, "annotations": {"summary": summary}, "state": state}


def busy(api: Api) -> None:
    api.instants = {
        REQUESTS: [instant("12.34", job="rest-service"), instant("0", job="auth-service")],
        FAILED: [instant("0.021", job="rest-service"), instant("NaN", job="auth-service")],
        P95: [instant("0.0471", job="rest-service"), instant("NaN", job="auth-service")],
        BUDGETS: [
            instant(left, slo=slo)
            for slo, left in {"a": "0.9999", "b": "-0.5", "c": "1", "d": "0.5"}.items()
        ],
        LAG: [instant("0", job="cpu-writer"), instant("12000", job="async-writer")],
        OLDEST: [instant("3.4", job="outbox-relay-rest")],
        ENTRIES: [instant("50000")],
    }


def shown(found: Figures) -> list[str]:
    output = io.StringIO()
    figures.show(found, 200_000, Console(file=output, width=120))
    return [" ".join(line.split()) for line in output.getvalue().splitlines()]


def test_few_lines_have_it_all(api: Api) -> None:
    busy(api)
    assert shown(figures.ask(Where(api.url), PATIENT)) == [
        "alerts: none fires",
        "over five minutes requests/s failed p95",
        "auth-service 0.0 - -",
        "rest-service 12.3 2 % 47 ms",
        "least error budget left b -50 %, d 50 %, a 99 %",
        "messages not handled yet async-writer 12,000, cpu-writer 0",
        "oldest event not sent outbox-relay-rest 3 s",
        "documents in the stream 50,000 of 200,000 (25 %)",
    ]


def test_pages_come_before_tickets_and_what_is_for_nobody_is_not_shown(api: Api) -> None:
    api.alerts = [
        alert("Watchdog", "none", "34 targets are watched"),
        alert("Slow", "ticket", "p95 is [2] s"),
        alert("Down", "page", "kafka is down"),
        alert("Soon", "page", "not yet", "pending"),
    ]
    assert shown(figures.ask(Where(api.url), PATIENT)) == [
        "page Down: kafka is down", "ticket Slow: p95 is [2] s",
    ]  # fmt: skip


def test_of_many_alerts_the_rest_is_counted(api: Api) -> None:
    api.alerts = [alert("Down", "page", str(number)) for number in range(11)]
    api.alerts.append(alert("Slow", "ticket", ""))
    lines = shown(figures.ask(Where(api.url), PATIENT))
    assert (
        lines[-1] == "and 1 of severity page, 1 of severity ticket more; `make dashboard` has all"
    )


def test_only_a_page_makes_it_not_well(api: Api) -> None:
    api.alerts = [alert("Slow", "ticket", ""), alert("Watchdog", "none", "")]
    assert figures.ask(Where(api.url), PATIENT).well
    api.alerts.append(alert("Down", "page", ""))
    assert not figures.ask(Where(api.url), PATIENT).well
    assert Figures(problem="nobody there").well


def test_where_it_is_not_there_one_line_says_why() -> None:
    found = figures.ask(Where("http://127.0.0.1:9"), PATIENT)
    (line,) = shown(found)
    assert line.startswith("no figures from Prometheus: http://127.0.0.1:9")
    assert found.well


def test_a_platform_without_its_ca_is_no_accident(tmp_path: Path) -> None:
    (line,) = shown(figures.figures(Kube(Checkout(tmp_path, tmp_path))))
    assert "this checkout has no cluster" in line


def test_a_ca_that_is_none_is_no_accident(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Kube, "json", lambda *_, **__: {"data": {"ca.crt": "PEM"}})
    (line,) = shown(figures.figures(Kube(Checkout(tmp_path, tmp_path))))
    assert line.startswith("no figures from Prometheus: ")


def test_what_was_answered_before_it_went_away_is_shown(api: Api) -> None:
    busy(api)
    api.errors = {P95: error("timeout", "query timed out", 503)}
    lines = shown(figures.ask(Where(api.url), PATIENT))
    assert lines[0] == "alerts: none fires"
    assert "rest-service 12.3 2 % -" in lines
    assert lines[-1] == "no more figures from Prometheus: timeout: query timed out"


def test_a_slow_one_is_not_waited_for(api: Api) -> None:
    api.delay = 30
    began = time.monotonic()
    found = figures.ask(Where(api.url), within=1)
    api.over.set()
    # Far more than a busy machine adds, and less than Prometheus has for an answer.
    assert time.monotonic() - began < 15
    assert shown(found) == ["no figures from Prometheus: no answer within 1 s"]


def test_the_fuse_is_what_the_stack_says_else_the_services_own() -> None:
    variables = [{"name": "X", "value": "1"}, {"name": "INGEST_MAX_QUEUE", "value": "300000"}]
    pod = {"containers": [{"name": "a"}, {"name": "b", "env": variables}]}
    said = {"kind": "Deployment", "spec": {"template": {"spec": pod}}}
    assert figures.fuse([{"kind": "Node"}, said]) == 300_000
    assert figures.fuse([]) == figures.FUSE == IngestSettings.model_fields["max_queue"].default


@pytest.mark.parametrize("query", QUERIES)
def test_queries_are_queries(query: str) -> None:
    promql_parser.parse(query)


def test_probes_are_those_that_boards_leave_aside() -> None:
    assert f'"{PROBES}"' in REQUESTS


def test_faults_of_calls_are_those_that_objectives_count() -> None:
    for part in indicators.failed_calls("5m").split(" or "):
        assert part.replace(", ", ",") in FAILED
    assert indicators.ANSWERED_ONCE.replace(", ", ",") in P95


def test_boards_ask_for_the_same_series_so_they_are_there_and_kept() -> None:
    every = boards(RECORDS, has=NEEDS)
    panels = (panel for board in every for panel in board.panels())
    drawn = {name for one in panels for query in one.queries for name in metric_names(query.expr)}
    assert {name for query in QUERIES for name in metric_names(query)} <= drawn
