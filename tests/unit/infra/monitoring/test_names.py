"""Rules and their cases name series that are there, with labels that they have."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import promql_parser
import pytest

from infra.model.records import RECORDS
from infra.monitoring import catalogue, rules
from infra.monitoring.boards import boards
from infra.monitoring.boards.board import NEEDS, WINDOW, Query
from infra.monitoring.exporters import EXPORTERS, SCRAPED
from infra.monitoring.forms import Alert, Recording

RULES = [rule for group in rules.groups() for rule in group.rules]
RECORDED = {rule.name for rule in RULES if isinstance(rule, Recording)}
OF_OBJECTIVES = ("job", "kind", "slo")
WAY_OUT = (
    "nobody exports that (a name, with the labels that it lacks). Correct its spelling; or, of a "
    "service, register it and run `make docs`; of another program, put it into "
    "infra/monitoring/exporters.py with its labels"
)


def known() -> Mapping[str, set[str]]:
    """Name to labels of every series that there is."""
    found: dict[str, set[str]] = {}
    for package in catalogue.packages():
        for metric in catalogue.registered(package).values():
            for name in metric.series:
                bounds = {"le"} if name.endswith("_bucket") else set[str]()
                # Packages may register one name with labels of their own.
                found.setdefault(name, {*SCRAPED}).update(metric.labels, bounds)
    for exporter in EXPORTERS:
        found |= {name: {*labels, *SCRAPED} for name, labels in exporter.series.items()}
    return found | {name: {*OF_OBJECTIVES} for name in RECORDED}


KNOWN = known()


def selectors(expression: Any) -> Iterator[tuple[str, set[str]]]:
    """Name and matched labels of each series that an expression asks for."""
    match expression:
        case promql_parser.VectorSelector():
            yield expression.name or "", {matcher.name for matcher in expression.matchers.matchers}
        case promql_parser.MatrixSelector():
            yield from selectors(expression.vector_selector)
        case promql_parser.BinaryExpr():
            yield from selectors(expression.lhs)
            yield from selectors(expression.rhs)
        case promql_parser.Call():
            for argument in expression.args:
                yield from selectors(argument)
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            return
        case _:  # aggregations, parentheses, signs and subqueries hold one each
            yield from selectors(expression.expr)


def unknown(asked: Iterator[tuple[str, set[str]]]) -> list[str]:
    return [
        f"{name}{sorted(labels - KNOWN.get(name, set()))}"
        for name, labels in asked
        if name not in KNOWN or labels - KNOWN[name]
    ]


def fed(rule: Alert | Recording) -> Iterator[tuple[str, set[str]]]:
    for case in rule.cases:
        for name in case.series:
            yield from selectors(promql_parser.parse(name))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_asks_for_series_that_somebody_exports(rule: Alert | Recording):
    parsed = promql_parser.parse(rule.expr)
    nobodys = [*unknown(selectors(parsed)), *unknown(summed(parsed))]
    assert not nobodys, f"{rule.name}: {WAY_OUT}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_is_tested_with_series_as_they_are_exported(rule: Alert | Recording):
    nobodys = unknown(fed(rule))
    assert not nobodys, f"a case of {rule.name}: {WAY_OUT}"


@pytest.mark.parametrize(
    "expr",
    [
        "rate(http_request_total[5m])",
        'sum by (job) (http_requests_total{code="500"}) / 2',
        "absent(kafka_lag) or -up",
        "max_over_time((worker_lag > 1)[5m:1m])",
    ],
)
def test_a_name_or_label_that_nobody_exports_is_found(expr: str):
    assert len(unknown(selectors(promql_parser.parse(expr)))) == 1


QUERIES = [
    (f"{board.slug}: {panel.title}", query)
    for board in boards(RECORDS, has=NEEDS)
    for panel in board.panels()
    for query in panel.queries
]


@pytest.mark.parametrize(
    "query", [query for _, query in QUERIES], ids=[name for name, _ in QUERIES]
)
def test_a_board_asks_for_series_that_somebody_exports(query: Query):
    """Names, labels that are matched or summed by, and those that a legend shows."""
    parsed = promql_parser.parse(query.expr.replace(WINDOW, "5m"))
    asked = [*selectors(parsed)]
    nobodys = [*unknown(iter(asked)), *unknown(summed(parsed))]
    assert not nobodys, f"{query.expr}: {WAY_OUT}"
    shown = {*re.findall(r"{{(\w+)}}", query.legend)}
    assert any(shown <= KNOWN[name] for name, _ in asked) or not asked, (
        f"no series of {query.expr} has all labels of its legend: {shown}"
    )


def summed(expression: Any) -> Iterator[tuple[str, set[str]]]:
    """Name of each series that an aggregation is over, and the labels that it keeps."""
    match expression:
        case promql_parser.AggregateExpr():
            kept = set(expression.modifier.labels) if expression.modifier else set[str]()
            for name, _ in selectors(expression.expr):
                yield name, kept
            yield from summed(expression.expr)
        case promql_parser.BinaryExpr():
            yield from summed(expression.lhs)
            yield from summed(expression.rhs)
        case promql_parser.Call():
            for argument in expression.args:
                yield from summed(argument)
        case promql_parser.ParenExpr() | promql_parser.UnaryExpr() | promql_parser.SubqueryExpr():
            yield from summed(expression.expr)
        case _:
            return


def test_what_exporters_are_said_to_have_is_used_and_stands_there_once():
    expressions = [rule.expr for rule in RULES]
    expressions += [query.expr.replace(WINDOW, "5m") for _, query in QUERIES]
    asked = {name for e in expressions for name, _ in selectors(promql_parser.parse(e))}
    said = [name for exporter in EXPORTERS for name in exporter.series]
    assert len(said) == len(set(said))
    assert not set(said) - asked, "nothing goes by them: take them off the list"
