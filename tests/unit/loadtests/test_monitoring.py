"""What Prometheus saw of a run is in its results, or why it is not; and in the reports."""

from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest

from bootstrap import figures
from bootstrap.checkout import Checkout
from bootstrap.kube import Kube, KubeError
from bootstrap.prometheus import Where
from loadtests.observers import monitoring
from loadtests.verdict import monitored, report, saved
from loadtests.verdict.gate import judge
from loadtests.verdict.results import Container, Monitored, Run, Served
from loadtests.verdict.targets import targets_for
from tests.harness.load_runs import run_of
from tests.harness.prometheus_api import NOW, Api, error, instant, served

SINCE = NOW - 300
UNTIL = NOW - 60
WINDOW = "240s"
CPU = f'sum by (container) (rate(container_cpu_usage_seconds_total{{container!=""}}[{WINDOW}]))'
MEMORY = 'sum by (container) (container_memory_working_set_bytes{container!=""})'
FIRING = 'ALERTS{alertstate="firing",severity=~"page|ticket"}'


def most(expr: str) -> str:
    return f"max_over_time(({expr})[{WINDOW}:30s])"


@pytest.fixture
def api() -> Iterator[Api]:
    with served(Api()) as running:
        yield running


def test_it_is_asked_over_the_runs_own_seconds(api: Api) -> None:
    slow = instant("1", severity="ticket", alertname="HighLatency", job="a")
    down = instant("1", severity="page", alertname="ServerDown", job="kafka")
    burns = instant("1", severity="page", alertname="BudgetBurns", job="a", slo="a-latency")
    api.instants = {
        figures.requests(WINDOW): [instant("12", job="a"), instant("0", job="b")],
        figures.failed(WINDOW): [instant("0.5", job="a"), instant("NaN", job="b")],
        figures.p95(WINDOW): [instant("0.25", job="a")],
        CPU: [instant("0.5", container="a")],
        most(MEMORY): [instant(str(2**30), container="a"), instant("0", container="c")],
        most(figures.LAG): [instant("70", job="w")],
        most(figures.OLDEST): [instant("4", job="r")],
        figures.BUDGETS: [instant(left, slo=slo) for slo, left in (("x", "0.25"), ("y", "1"))],
        f"{figures.BUDGETS} @ {SINCE:.3f}": [instant("0.5", slo="x"), instant("1", slo="y")],
        f"{FIRING} @ {SINCE:.3f}": [slow],
        f"max_over_time({FIRING}[300s])": [slow, down, burns],
    }
    assert monitoring.ask(Where(api.url), SINCE, UNTIL) == Monitored(
        services={"a": Served(requests=12, failed=0.5, p95=250), "b": Served(requests=0)},
        containers={"a": Container(cores=0.5, memory_mib=1024), "c": Container()},
        lag={"w": 70},
        oldest={"r": 4},
        burnt={"x": 0.25},
        alerts=(
            "page BudgetBurns (a-latency)",
            "page ServerDown (kafka)",
            "ticket HighLatency (a), as before the run",
        ),
    )
    for asked in api.asked:
        promql_parser.parse(asked["query"])


def test_of_a_short_run_nothing_is_asked(tmp_path: Path) -> None:
    kube = Kube(Checkout(tmp_path, tmp_path))
    assert monitoring.monitored(kube, 0, 59).missing == "the run was shorter than 60 s"


def test_a_run_without_prometheus_says_so(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kube = Kube(Checkout(tmp_path, tmp_path))
    assert "this checkout has no cluster" in monitoring.monitored(kube, 0, 90).missing
    api.errors = {figures.failed("90s"): error("timeout", "query timed out", 503)}
    monkeypatch.setattr(monitoring, "published", lambda _: Where(api.url))
    assert monitoring.monitored(kube, 0, 90) == Monitored(missing="timeout: query timed out")


def test_no_failure_to_ask_ends_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(_: Kube) -> Where:
        raise KubeError("no such ConfigMap")

    monkeypatch.setattr(monitoring, "published", refuse)
    kube = Kube(Checkout(tmp_path, tmp_path))
    assert monitoring.monitored(kube, 0, 90).missing == "no such ConfigMap"


def seen(**changes: object) -> Run:
    values: dict[str, object] = {
        "services": {"a": Served(requests=12, failed=0.5, p95=250), "b": Served(requests=0)},
        "containers": {f"c{n}": Container(cores=n / 10, memory_mib=64) for n in range(17)},
        "burnt": {"a-latency": 0.25},
        "lag": {"v": 7, "w": 7000},
    }
    return run_of(monitored=Monitored.model_validate(values | changes))


def test_reports_say_what_it_saw_and_from_where_each_figure_is(tmp_path: Path) -> None:
    run = seen()
    report.write(run, judge(run, targets_for(run.stack, run.target)), tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    for row in (
        "| a | 12.0 | 50.00 % | 250 |",
        "| b | 0.0 | - | - |",
        "| c16 | 1.60 | 64 |",
        "| alerts that fired | none |",
        "| most messages not handled yet | w 7,000, v 7 |",
        "## Prometheus, every 30 s",
        "| requests, latency, failures | the load generator, every request |",
    ):
        assert row in text, row
    assert "| c1 |" not in text
    assert "2 others took less processor time." in text
    assert saved.load(tmp_path) == run
    assert "Prometheus, every 30 s" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_what_it_saw_decides_nothing() -> None:
    bare, run = run_of(), seen(alerts=("page ServerDown (kafka)",))
    targets = targets_for(run.stack, run.target)
    assert judge(run, targets) == judge(bare, targets)


def test_without_it_the_report_says_why_and_of_older_runs_nothing() -> None:
    run = run_of(monitored=Monitored(missing="nobody there"))
    assert monitored.tables(run) == []
    (sources,) = monitored.listings(run)
    assert sources.rows[-1][1] == "not known: nobody there"
    assert monitored.tables(run_of()) == monitored.listings(run_of()) == []
