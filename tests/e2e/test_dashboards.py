"""Every panel's queries, against the Prometheus that runs: none fails, none has nothing to say."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.checkout import Checkout, saved_context
from bootstrap.prometheus import Prometheus
from infra.model.records import RECORDS
from infra.monitoring.boards import boards
from infra.monitoring.boards.board import Board
from infra.monitoring.boards.needs import met
from infra.stack.config import load_file
from operations.dashboard import address, command
from operations.dashboard.gathering import Gathered, gather
from tests.e2e.cluster import wait_for
from tests.e2e.conftest import Say

SPAN = 3600
"""Seconds; the tests before this one have made traffic of every kind within them."""
PATIENCE = 180
"""For what is reckoned over minutes, and what is scraped now and then."""


@pytest.fixture(scope="module")
def every(checkout: Checkout) -> tuple[Board, ...]:
    """What the running stack has boards for."""
    name = f"Pulumi.{saved_context(checkout.state)['stack']}.yaml"
    settings = load_file((checkout.root / name).read_text(encoding="utf-8"), name)
    return boards(RECORDS, has=met(settings, RECORDS))


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    with (
        address.found("") as where,
        where.client() as http,
    ):
        yield Prometheus(http)


def look(prometheus: Prometheus, every: tuple[Board, ...]) -> Gathered:
    at = command.grid(SPAN, prometheus.time())
    return gather(prometheus, every, at, lambda _done, _total: None)


def empty(found: Gathered) -> list[str]:
    """Panels without a value, and why; those that say what it means are not meant."""
    return [
        f"{sheet.board.title}: {one.panel.title}"
        + (f" (nobody exports {', '.join(one.missing)})" if one.missing else "")
        for sheet in found.sheets
        for one in sheet.pictures()
        if not one.series and not one.problem and not one.panel.quiet
    ]


def failed(found: Gathered) -> list[str]:
    return [
        f"{sheet.board.title}: {one.panel.title}: {one.problem}"
        for sheet in found.sheets
        for one in sheet.pictures()
        if one.problem
    ]


def test_every_panel_has_something_to_show(
    prometheus: Prometheus, every: tuple[Board, ...], say: Say
) -> None:
    found: list[Gathered] = []

    def whole() -> bool:
        found.append(look(prometheus, every))
        lacking = empty(found[-1])
        say(f"{len(lacking)} panels without a value")
        return not lacking and not failed(found[-1])

    try:
        wait_for("a value in every panel", whole, seconds=PATIENCE, pause=10)
    except TimeoutError:
        assert not failed(found[-1]), "Prometheus cannot answer these"
        assert not empty(found[-1]), "these show nothing"


def test_a_query_never_brings_more_series_than_a_panel_can_show(
    prometheus: Prometheus, every: tuple[Board, ...]
) -> None:
    """A label with too many values would be seen here first."""
    crowded = [
        f"{sheet.board.title}: {one.panel.title}: {note}"
        for sheet in look(prometheus, every).sheets
        for one in sheet.pictures()
        for note in one.notes
        if "only" in note or "truncated" in note
    ]
    assert not crowded


def test_the_page_is_made_of_it(checkout: Checkout, tmp_path: Path) -> None:
    said: list[str] = []
    with address.found("") as where:
        command.write(where, command.asked(checkout, "1h", ""), tmp_path / "page.html", said.append)
    assert " 0 that could not be asked" in said[0]
    assert (tmp_path / "page.html").stat().st_size > 100_000
