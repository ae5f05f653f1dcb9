"""What Grafana is given is whole, and the same every time."""

import json
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from infra.model.records import RECORDS
from infra.monitoring import grafana, kafka_jmx
from infra.monitoring.boards import boards
from infra.monitoring.boards.board import NEEDS, Board, Panel, Query, Row, Threshold, Unit

FILES = grafana.files(
    RECORDS,
    has=NEEDS,
    prometheus="https://prometheus.monitoring.svc:9090",
    loki="https://loki.monitoring.svc:3100",
    jaeger="https://jaeger.monitoring.svc:16686",
    ca_file="/etc/millrace/ca/ca.crt",
)
DASHBOARDS = {
    name: json.loads(text) for name, text in FILES.items() if name.startswith("millrace/")
}
of_each = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=lambda one: one["uid"])


def _drawn(dashboard: Any) -> Iterator[Any]:
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def test_there_is_a_dashboard_for_every_board_and_a_source_for_all():
    named = {f"millrace/{b.slug}.json" for b in boards(RECORDS, has=())}
    assert named == set(DASHBOARDS)
    sources = json.loads(FILES["datasources/sources.yaml"])["datasources"]
    assert [one["type"] for one in sources] == ["prometheus", "loki", "jaeger"]
    assert len({one["uid"] for one in sources}) == len(sources)
    assert [one.get("isDefault", False) for one in sources] == [True, False, False]
    for source in sources:
        assert source["url"].startswith(f"https://{source['type']}.")
        assert source["jsonData"]["tlsAuthWithCACert"] is True
        assert source["secureJsonData"] == {"tlsCACert": "$__file{/etc/millrace/ca/ca.crt}"}
    provider = json.loads(FILES["dashboards/millrace.yaml"])["providers"][0]
    assert provider["options"]["path"].endswith("/millrace")


def test_all_of_it_fits_into_one_config_map():
    assert sum(len(text.encode()) for text in FILES.values()) < 900_000


@of_each
def test_a_dashboard_has_a_stable_uid_the_newest_schema_and_a_variable_for_its_source(
    dashboard: Any,
):
    assert dashboard["uid"].startswith("millrace-")
    assert len(dashboard["uid"]) <= 40
    assert dashboard["schemaVersion"] == grafana.SCHEMA
    assert "id" not in dashboard, "that is the database's"
    variable = dashboard["templating"]["list"][0]
    assert (variable["name"], variable["type"]) == ("datasource", "datasource")
    for panel in _drawn(dashboard):
        assert panel["datasource"]["uid"] == "${datasource}"
        assert {t["datasource"]["uid"] for t in panel["targets"]} == {"${datasource}"}


@of_each
def test_panels_have_numbers_of_their_own_and_lie_side_by_side(dashboard: Any):
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)

    def cells(panel: Any) -> set[tuple[int, int]]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        return {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }

    for one, other in combinations(dashboard["panels"], 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])


@of_each
def test_every_panel_is_titled_explained_measured_and_has_legends(dashboard: Any):
    for panel in _drawn(dashboard):
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert [t["refId"] for t in panel["targets"]] == list("ABCDEFG"[: len(panel["targets"])])
        for target in panel["targets"]:
            assert target["legendFormat"]
            assert "$window" not in target["expr"]


def test_every_unit_is_one_of_grafanas():
    queries = (Query("up", "up"),)
    panels = tuple(Panel(unit.value, unit, queries, "It is.") for unit in Unit)
    made = grafana.dashboard(Board("b", "B", "It is.", (Row("r", panels),)))
    assert {p["fieldConfig"]["defaults"]["unit"] for p in _drawn(made)} == {
        *("short", "suffix:/s", "s", "bytes", "binBps", "percentunit", "suffix: cores", "d"),
        "bool_yes_no",
    }


@pytest.mark.parametrize(
    ("limits", "steps"),
    [
        ((), [("green", None)]),
        (
            (Threshold(0.8, "warning"), Threshold(0.95, "critical")),
            [("green", None), ("orange", 0.8), ("red", 0.95)],
        ),
        (
            (Threshold(60, "warning", below=True), Threshold(14, "critical", below=True)),
            [("red", None), ("orange", 14), ("green", 60)],
        ),
    ],
)
def test_limits_colour_upwards_or_downwards(
    limits: tuple[Threshold, ...], steps: list[tuple[str, float | None]]
):
    panel = Panel("p", Unit.COUNT, (Query("up", "up"),), "It is.", thresholds=limits)
    made = grafana.dashboard(Board("b", "B", "It is.", (Row("r", (panel,)),)))
    found = next(_drawn(made))["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(one["color"], one["value"]) for one in found] == steps


def test_the_brokers_agent_is_told_each_name_with_its_bean():
    said = json.loads(kafka_jmx.configuration())
    assert {rule["name"] for rule in said["rules"]} == kafka_jmx.NAMES
    for rule in said["rules"]:
        bean = rule["pattern"].partition("<")[0]
        assert any(name.startswith(bean) for name in said["includeObjectNames"]), rule
        for label in rule.get("labels", {}).values():
            number = int(label[1:]) if label.startswith("$") else 0
            assert rule["pattern"].count("(") >= number
