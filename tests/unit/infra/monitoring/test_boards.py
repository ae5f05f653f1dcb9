"""Dashboards ask for what is exported, and say what they show."""

import contextlib
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from infra.model.records import RECORDS
from infra.model.services import SERVICES, Service
from infra.monitoring import catalogue
from infra.monitoring.boards import boards, service
from infra.monitoring.boards.board import COLUMNS, NEEDS, WINDOW, Board, Need, Panel
from infra.monitoring.boards.needs import met
from infra.monitoring.boards.promql import metric_names
from infra.monitoring.catalogue import Metric
from infra.stack.config import load_file
from services.shared.runtime.metrics import new_registry
from tests.harness.repository import ROOT

EVERYTHING = NEEDS
EVERY = boards(RECORDS, has=EVERYTHING)
PANELS = [(board, panel) for board in EVERY for panel in board.panels()]
REGISTERED = {
    name
    for package in catalogue.packages()
    for metric in catalogue.registered(package).values()
    for name in metric.series
}
of_each_board = pytest.mark.parametrize("board", EVERY, ids=lambda board: board.slug)


def test_a_service_is_asked_only_for_what_it_registers_itself():
    for one in SERVICES:
        own = {n for m in catalogue.registered(one.package).values() for n in m.series}
        for panel in service.board(one).panels():
            for query in panel.queries:
                asked = metric_names(query.expr) & REGISTERED
                assert asked <= own, f"{one.name}: {panel.title} asks for {asked - own}"


def test_every_metric_of_a_service_is_on_its_board():
    for one in SERVICES:
        asked = {
            name
            for panel in service.board(one).panels()
            for query in panel.queries
            for name in metric_names(query.expr)
        }
        metrics = catalogue.registered(one.package).values()
        unseen = {m.name for m in metrics if not asked & set(m.series)}
        assert {name for name in unseen if not name.startswith(("process_", "python_"))} == set()


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("rest-service", [(0.5, "critical")]),
        ("ingest-service", [(0.5, "warning"), (2.0, "critical")]),
    ],
)
def test_latency_is_red_from_where_the_service_breaks_its_promise(
    name: str, limits: list[tuple[float, str]]
):
    [one] = [one for one in SERVICES if one.name == name]
    found = [p for p in service.board(one).panels() if p.title.startswith("Latency")]
    assert found
    for panel in found:
        assert [(limit.value, limit.level) for limit in panel.thresholds] == limits


def test_a_metric_that_nobody_drew_gets_a_panel_by_its_kind(monkeypatch: pytest.MonkeyPatch):
    new = {
        m.name: m
        for m in (
            Metric("audit_log_lines_total", "counter", ("level",), "Lines."),
            Metric("audit_flush_seconds", "histogram", (), "Time of a flush."),
            Metric("audit_held_bytes", "gauge", (), "Memory."),
            Metric("audit_keys_fetched_timestamp_seconds", "gauge", (), "When."),
        )
    }
    monkeypatch.setattr(service, "registered", lambda _package: new)
    made = service.board(Service(name="audit-log", package="audit_log"))
    own = next(row for row in made.rows if row.title == "Its own")
    assert [(p.title, p.unit.value, p.explains) for p in own.panels] == [
        ("Lines", "per second", "Lines."),
        ("Flush time", "seconds", "Time of a flush."),
        ("Held memory", "bytes", "Memory."),
        ("Keys fetched, ago", "seconds", "When."),
    ]
    assert [query.legend for query in own.panels[1].queries] == ["p50", "p95", "p99"]


@pytest.mark.parametrize(
    ("board", "panel"), PANELS, ids=[f"{b.slug}: {p.title}" for b, p in PANELS]
)
def test_every_panel_says_what_it_shows(board: Board, panel: Panel):
    assert panel.title, "give it one"
    assert panel.explains.endswith("."), "write a sentence, with its full stop"
    assert panel.queries, "it asks for nothing"
    assert all(query.legend for query in panel.queries), "say what each query's series are called"
    assert panel.width in (2, 3, 4, 6, 12), "the page's style knows these"
    assert panel.kind != "stat" or len(panel.queries) == 1, "it is one number"
    levels = {limit.below for limit in panel.thresholds}
    assert len(levels) < 2, "limits are all above, or all below"
    assert not panel.quiet.endswith("."), "it is part of a sentence"
    for query in panel.queries:
        windows = re.findall(r"\[([^\]]+)\]", query.expr)
        assert all(one in (WINDOW, "10m") for one in windows), f"write [$window]: {query.expr}"
        labels = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
        grouped = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", query.expr))))
        assert not grouped or labels <= grouped, f"{labels - grouped} is gone: {query.expr}"


def test_titles_of_a_row_differ_and_addresses_of_boards_too():
    assert len({board.slug for board in EVERY}) == len(EVERY)
    assert all(re.fullmatch(r"[a-z0-9-]{1,31}", board.slug) for board in EVERY), "Grafana takes 40"
    for board in EVERY:
        for row in board.rows:
            titles = [panel.title for panel in row.panels]
            assert len(set(titles)) == len(titles), (board.title, row.title)
            assert max(panel.width for panel in row.panels) <= COLUMNS
    by_service = {board.slug for board in EVERY} & set(RECORDS.service_names)
    assert by_service == set(RECORDS.service_names)


def test_a_stack_has_rows_only_about_what_it_has():
    def rows(*has: Need) -> set[str]:
        return {row.title for board in boards(RECORDS, has=has) for row in board.rows}

    assert rows(*EVERYTHING) - rows() == {"Autoscaling", "Copies", "Logs", "ProxySQL"}
    assert "Copies" in rows("copies")


@pytest.mark.parametrize("stack", ["airgap", "dev", "prod"])
def test_what_a_stack_has_is_read_off_its_file(stack: str):
    name = f"Pulumi.{stack}.yaml"
    settings = load_file((ROOT / name).read_text(encoding="utf-8"), name)
    ranges = [settings.services.of(s).replicas for s in RECORDS.service_names]
    found = met(settings, RECORDS)
    assert ("autoscaling" in found) == any(not isinstance(one, int) for one in ranges)
    assert ("proxysql" in found) == any(settings.proxied(server) for server in RECORDS.servers)
    one_each = {n: settings.mysql_of(n) for n in RECORDS.server_names(engine="mysql")}
    assert ("copies" in found) == any(of.replicas > 1 for of in one_each.values())


def _of_registries(package: str) -> Iterator[type[Any]]:
    """Classes that need a registry and nothing else."""
    for name in ("metrics", "telemetry.metrics"):
        with contextlib.suppress(ModuleNotFoundError):
            module = importlib.import_module(f"services.{package}.{name}")
            for kind in list(vars(module).values()):
                if inspect.isclass(kind) and [*inspect.signature(kind).parameters] == ["registry"]:
                    yield kind


def test_what_is_read_off_the_code_is_what_registries_hold():
    met_with = 0
    for package in catalogue.packages():
        for kind in _of_registries(package):
            registry = new_registry()
            kind(registry)
            for family in registry.collect():
                total = "_total" if family.type == "counter" else ""
                known = catalogue.registered(package)[family.name + total]
                assert (known.kind, known.help) == (family.type, family.documentation)
                for sample in family.samples:
                    assert sample.name in known.series
                    assert set(sample.labels) - {"le"} == set(known.labels)
                met_with += 1
    assert met_with > 60


def test_a_query_for_a_metric_that_was_renamed_is_found():
    """The check above can fail."""
    wrong = replace(EVERY[0].rows[0].panels[0].queries[0], expr="rate(http_request_total[5m])")
    assert metric_names(wrong.expr) - REGISTERED == {"http_request_total"}
