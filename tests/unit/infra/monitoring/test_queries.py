"""Queries of boards as Prometheus itself reads and answers them."""

from pathlib import Path

import pytest

from bootstrap import figures
from infra.model.records import RECORDS
from infra.monitoring import rules
from infra.monitoring.boards import boards, calls
from infra.monitoring.boards.board import NEEDS, WINDOW
from infra.monitoring.indicators import Called
from tests.unit.infra.monitoring.test_rules import ran

EVERY = dict.fromkeys(
    query.expr.replace(WINDOW, "5m")
    for board in boards(RECORDS, has=NEEDS)
    for panel in board.panels()
    for query in panel.queries
)
SHARES = {
    "a service's board": calls.fault_ratio(job="some"),
    "the overview": calls.fault_ratio(("job",)),
    "make status": figures.failed(WINDOW),
}


def read(promtool: Path, folder: Path, *queries: str) -> str:
    """What Prometheus has to say against these queries; nothing where it takes them."""
    recorded = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries)]
    file = folder / "queries.yaml"
    file.write_text(rules.written({"groups": [{"name": "queries", "rules": recorded}]}))
    checked = ran(promtool, "check", "rules", "--lint=none", file)
    return "" if checked.returncode == 0 else checked.stderr


def test_prometheus_reads_every_query_of_every_board(promtool: Path, tmp_path: Path):
    assert not read(promtool, tmp_path, *EVERY)


def test_one_that_it_does_not_read_is_found(promtool: Path, tmp_path: Path):
    assert "parse error" in read(promtool, tmp_path, *EVERY, "rate(up)")


@pytest.mark.parametrize("share", SHARES.values(), ids=SHARES)
def test_calls_that_fail_are_everywhere_those_that_the_objective_counts(
    share: str, promtool: Path, tmp_path: Path
):
    example = Called().example("some")
    fed = [{"series": name, "values": values} for name, values in example.series.items()]
    of = '{job="some"}' if "by (job)" in share else "{}"
    expected = {
        "expr": share.replace(WINDOW, "5m"),
        "eval_time": "10m",
        "exp_samples": [{"labels": of, "value": example.bad / example.total}],
    }
    test = {"interval": "1m", "input_series": fed, "promql_expr_test": [expected]}
    file = tmp_path / "share.test.yaml"
    file.write_text(rules.written({"rule_files": [], "tests": [test]}))
    tested = ran(promtool, "test", "rules", file)
    assert tested.returncode == 0, tested.stdout + tested.stderr
