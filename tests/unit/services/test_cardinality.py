"""Series stay few: every label of every metric has values that can be counted beforehand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import NamedTuple

import pytest

import services

FOLDER = Path(next(iter(services.__path__)))
BOUNDS = {
    "action": (5, "what tasks can do, by their table"),
    "by": (2, "how a token was accepted, or by what a request was let in"),
    "certificate": (12, "servers of the records, and the CA"),
    "change": (5, "what became of leases"),
    "database": (10, "pools of a process, or databases of an archiver"),
    "dependency": (3, "breakers of a process"),
    "event_type": (6, "topics of the contracts"),
    "grpc_code": (17, "the statuses of gRPC"),
    "grpc_method": (6, "of the largest service, and `unknown`"),
    "grpc_service": (5, "of a process, those beside it, and `unknown`"),
    "grpc_type": (3, "unary, or which sides stream"),
    "kind": (6, "of rebalances, or of answers of Kafka"),
    "method": (8, "those of HTTP that we know, and `other`"),
    "operation": (10, "of a cache, or transactions"),
    "outcome": (6, "named where they are counted"),
    "partition": (64, "of a topic"),
    "reason": (10, "named where they are counted"),
    "result": (3, "of a look-up"),
    "route": (25, "templates of an application, its probes, and `unmatched`"),
    "source": (5, "where a document was read"),
    "state": (3, "of a pool's connections"),
    "status": (25, "codes that an application answers with"),
    "topic": (9, "of the contracts"),
    "what": (8, "named where they are counted"),
}
"""Label to how many values it has at most, and which they are."""
MOST_SERIES = 5000
"""Of one metric and process, if all its labels had all their values at once."""
KINDS = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
FAMILIES = {"CounterMetricFamily", "GaugeMetricFamily", "HistogramMetricFamily"}
UNBOUNDED = {
    *("path", "id", "ids", "key", "url", "user", "client", "client_id", "device_id"),
    *("resource_id", "document_id", "event_id", "correlation_id", "trace_id", "span_id", "pod"),
    *("aggregate_id", "error", "reason_text", "query", "statement", "offset", "timestamp"),
}
"""What a label's value is never made of."""


class Metric(NamedTuple):
    where: str
    name: str
    labels: tuple[str, ...]


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(FOLDER.rglob("*.py")):
        yield str(path.relative_to(FOLDER.parent)), ast.parse(path.read_text("utf-8"))


def metrics() -> Iterator[Metric]:
    for where, module in modules():
        for node in ast.walk(module):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id not in KINDS | FAMILIES or not node.args:
                continue
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield Metric(where, name.value, tuple(_labels(node)))


def _labels(call: ast.Call) -> Iterator[str]:
    given = [keyword.value for keyword in call.keywords if keyword.arg in ("labels", "labelnames")]
    for one in (*given, *call.args[2:3]):
        if isinstance(one, ast.List | ast.Tuple):
            for label in one.elts:
                assert isinstance(label, ast.Constant), ast.unparse(call)
                yield str(label.value)


ALL = list(metrics())


def test_the_metrics_are_found() -> None:
    assert len(ALL) > 60
    assert ("http_requests", ("method", "route", "status")) in {one[1:] for one in ALL}


@pytest.mark.parametrize("metric", [one for one in ALL if one.labels], ids=lambda one: one.name)
def test_every_label_has_values_that_can_be_counted(metric: Metric) -> None:
    for label in metric.labels:
        assert label in BOUNDS, f"{metric.where}: say in BOUNDS how many values {label} has"
    series = prod(BOUNDS[label][0] for label in metric.labels)
    assert series <= MOST_SERIES, f"{metric.where}: {metric.name} may have {series} series"


def test_no_label_is_made_of_what_has_no_end() -> None:
    for where, module in modules():
        for node in ast.walk(module):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr != "labels":
                continue
            for value in (*node.args, *(keyword.value for keyword in node.keywords)):
                for part in _last_names(value):
                    assert part not in UNBOUNDED, f"{where}: {ast.unparse(node)}"


def _last_names(value: ast.expr) -> Iterator[str]:
    """The last name of each variable or attribute that a value is made of."""
    match value:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            yield name
        case ast.Call(func=ast.Name(id="str"), args=args):
            for one in args:
                yield from _last_names(one)
        case ast.Call(func=func):
            yield from _last_names(func)
        case ast.JoinedStr(values=values):
            for one in values:
                if isinstance(one, ast.FormattedValue):
                    yield from _last_names(one.value)
        case _:
            pass
