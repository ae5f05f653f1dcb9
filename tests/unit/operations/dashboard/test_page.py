"""The page holds all it needs, and what Prometheus said in it is text."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from bootstrap.prometheus import Firing, Grid
from infra.model.records import RECORDS
from infra.monitoring.boards import boards
from infra.monitoring.boards.board import NEEDS, Board, Kind, Panel, Query, Row, Threshold, Unit
from operations.dashboard.gathering import Drawn, Gathered, Picture, Sheet, Strip
from operations.dashboard.page import Said, render

GRID = Grid(start=1_800_000_000, step=30, count=5)
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{7*7}}"
LIMIT = (Threshold(5, "critical"),)
VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    """What a browser makes of it: elements, their nesting, and the scripts' text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.words).split())

    def classes(self, tag: str) -> list[str]:
        return [attributes.get("class") or "" for name, attributes in self.elements if name == tag]


def panel(title: str = "Panel", kind: Kind = "lines", **more: Any) -> Panel:
    return Panel(title, Unit.COUNT, (Query("m", "m"),), "It is.", kind=kind, **more)


def gathered(*pictures: Picture, firing: tuple[Firing, ...] = (), needs: Any = None) -> Gathered:
    row = Row("Row", tuple(one.panel for one in pictures), needs)
    board = Board("board", "Board", "It is.", (row,))
    return Gathered(GRID, (Sheet(board, (Strip(row, pictures),)),), firing)


def page(*pictures: Picture, refresh: int | None = None, **more: Any) -> Page:
    return Page(render(gathered(*pictures, **more), Said("airgap", refresh), ("rest-service",)))


def drawn(*values: float | None, name: str = "a", of: Panel | None = None) -> Picture:
    return Picture(of or panel(), (Drawn(name, values),))


KINDS: tuple[Kind, ...] = ("lines", "areas", "stat", "bars", "states")


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_label_holds_is_text(kind: Kind):
    of = panel(kind=kind, thresholds=LIMIT)
    made = page(drawn(9, 9, 9, 9, 9, name=HOSTILE, of=of))
    assert not [tag for tag, _ in made.elements if tag == "img"]
    assert not [a for _, a in made.elements if any(name.startswith("on") for name in a)]
    assert len([a for a, _ in made.scripts if "type" not in a]) == 1, "our own, and no other"
    assert "49" not in made.said


def test_what_an_alert_or_an_error_says_is_text_and_links_lead_to_sites_only():
    firing = tuple(
        Firing(
            {"alertname": HOSTILE, "severity": "page"},
            {"summary": HOSTILE, "runbook_url": link},
            "2026-01-02T03:04:05Z",
        )
        for link in ("javascript:alert(1)", "https://example.org/runbook")
    )
    made = page(Picture(panel(), problem=HOSTILE, notes=(HOSTILE,)), firing=firing)
    links = [a["href"] for tag, a in made.elements if tag == "a" and a.get("rel")]
    assert links == ["https://example.org/runbook"]
    assert made.said.count("alert(1)") >= 5
    assert not [tag for tag, _ in made.elements if tag == "img"]


def test_it_asks_nobody_for_anything():
    text = render(gathered(drawn(1)), Said("airgap"), ())
    made = Page(text)
    for tag, attributes in made.elements:
        assert tag not in ("link", "iframe", "object", "embed")
        assert "src" not in attributes, tag
    assert not re.search(r"url\(|@import", text)
    policy = next(
        a["content"] or "" for tag, a in made.elements if tag == "meta" and "http-equiv" in a
    )
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy


def test_its_own_script_is_the_one_that_its_policy_lets_run():
    made = page(drawn(1))
    policy = next(a["content"] for tag, a in made.elements if tag == "meta" and "http-equiv" in a)
    script = next(text for attributes, text in made.scripts if not attributes)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in str(policy)


def test_values_to_read_are_there_for_each_moment_and_gaps_are_none():
    made = page(drawn(1.0, None, 3.25, None, 5000.0))
    data = next(json.loads(text) for a, text in made.scripts if a.get("type") and "id" not in a)
    assert data == [["1", None, "3.25", None, "5,000"]]
    times = next(json.loads(text) for a, text in made.scripts if a.get("id") == "times")
    assert len(times) == len(data[0])


def test_why_a_panel_is_empty_is_said():
    made = page(
        Picture(panel("Failed"), problem="execution: timed out"),
        Picture(panel("Missing"), missing=("a_total", "b_total")),
        Picture(panel("Quiet", quiet="nothing was refused")),
        Picture(panel("Quiet as well", quiet="nobody came"), missing=("c_total",)),
        Picture(panel("Odd")),
    )
    assert "Prometheus could not answer: execution: timed out" in made.said
    assert "Nobody exports a_total , b_total" in made.said
    assert "Nothing to show: nothing was refused." in made.said
    assert "Nothing to show: nobody came, or nobody exports c_total ." in made.said
    assert "No value in the last 2 min." in made.said
    assert [one.split() for one in made.classes("figure")] == [["w4", "lines", "empty"]] * 5


def test_what_is_past_a_limit_is_said_first_and_marked_where_it_is():
    calm = drawn(1, 1, of=panel("Calm", thresholds=LIMIT))
    past = drawn(1, 9, name="rest-service", of=panel("Past", thresholds=LIMIT))
    made = page(calm, past)
    assert "Past a limit now Board: Past 9 rest-service" in made.said
    assert [one.split()[2:] for one in made.classes("figure")] == [[], ["critical"]]
    assert ("a", {"href": "#board/1"}) in made.elements
    assert any(a.get("id") == "board/1" for _, a in made.elements)
    assert "All is well" not in made.said
    assert "All is well." in page(calm).said


def test_what_two_panels_show_is_said_once():
    one = drawn(9, name="x", of=panel("Same", thresholds=LIMIT))
    number = drawn(9, name="number", of=panel("Number", kind="stat", thresholds=LIMIT))
    assert page(one, one, number).said.count("Board: Same") == 1
    assert "Board: Number" not in page(one, number).said
    assert "Board: Number" in page(number).said


def test_of_many_alerts_the_first_are_listed_and_the_rest_counted():
    firing = tuple(Firing({"alertname": f"A{n}"}, {}, "") for n in range(20))
    made = page(drawn(1), firing=firing)
    assert "20 alerts fire" in made.said
    assert "and 12 more" in made.said
    assert "A7" in made.said
    assert "A8" not in made.said


def test_a_row_about_what_the_stack_has_not_is_one_line():
    made = page(Picture(panel(), missing=("proxysql_x",)), needs="proxysql")
    assert "Not in this stack" in made.said
    assert made.classes("figure") == []


def test_it_renews_itself_only_where_it_is_served():
    watched = page(drawn(1), refresh=30)
    assert ("html", {"lang": "en", "data-refresh": "30"}) in watched.elements
    policy = next(a["content"] for t, a in watched.elements if t == "meta" and "http-equiv" in a)
    assert "connect-src 'self'" in str(policy)
    assert ("html", {"lang": "en"}) in page(drawn(1)).elements


def test_every_board_of_the_platform_can_be_drawn_full_and_empty():
    for values in ((), (0.5, None, 2e9, -1.0, 1.0)):
        sheets = tuple(
            Sheet(
                board,
                tuple(
                    Strip(
                        row,
                        tuple(
                            Picture(
                                of,
                                tuple(Drawn(f"s{n}", values) for n in range(9)) if values else (),
                            )
                            for of in row.panels
                        ),
                    )
                    for row in board.rows
                ),
            )
            for board in boards(RECORDS, has=NEEDS)
        )
        made = Page(render(Gathered(GRID, sheets, ()), Said("airgap"), RECORDS.service_names))
        ids = [a["id"] for _, a in made.elements if a.get("id")]
        assert len(set(ids)) == len(ids)
        links = {a["href"] for tag, a in made.elements if tag == "a" and "data-board" in a}
        assert links == {f"#{sheet.board.slug}" for sheet in sheets}
        assert made.open == []
