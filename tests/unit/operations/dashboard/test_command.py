"""`make dashboard` finds Prometheus, says what it does, and what is wrong."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from bootstrap.prometheus import AwayError, Where
from operations.dashboard import address, command
from operations.dashboard.command import Asked, asked, grid, seconds
from operations.dashboard.serving import HOST, Kept, PageServer
from operations.request import RefusedError
from tests.harness.prometheus_api import NOW, Api, error, served


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path, tmp_path, port_offset=100)


@pytest.fixture
def api() -> Iterator[Api]:
    with served(Api()) as running:
        yield running


def overview(checkout: Checkout) -> Asked:
    return asked(checkout, "1h", "overview")


def test_the_page_is_written_and_its_address_said(api: Api, checkout: Checkout, tmp_path: Path):
    lines: list[str] = []
    file = tmp_path / "build" / "dashboard.html"
    command.write(Where(api.url), overview(checkout), file, lines.append)
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")
    panels = sum(1 for _ in overview(checkout).boards[0].panels())
    assert lines == [
        f"1 boards, {panels} panels: {panels} without a value, 0 that could not be asked; "
        f"0 alerts firing\nfile://{file}"
    ]
    assert list(file.parent.iterdir()) == [file], "no draft is left"


def test_who_is_not_there_is_said_with_the_way_out(checkout: Checkout, tmp_path: Path):
    with pytest.raises(RefusedError, match=r"127\.0\.0\.1:9.* does not answer.*`make status`.*"):
        command.write(Where("http://127.0.0.1:9"), overview(checkout), tmp_path / "x", print)
    assert not (tmp_path / "x").exists()


def test_queries_that_fail_leave_the_rest(api: Api, checkout: Checkout, tmp_path: Path):
    of = overview(checkout)
    expr = next(query.expr for panel in of.boards[0].panels() for query in panel.queries)
    api.errors = {expr: error("timeout", "query timed out", 503)}
    lines: list[str] = []
    command.write(Where(api.url), of, tmp_path / "d.html", lines.append)
    assert "1 that could not be asked" in lines[0]
    assert "timeout: query timed out" in (tmp_path / "d.html").read_text()


def test_the_address_is_the_checkouts_published_port_or_what_was_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(Kube, "json", lambda *_, **__: {"data": {"ca.crt": "PEM"}})
    with address.found("", {"PORT_OFFSET": "100"}) as where:
        assert where == Where("https://localhost:30190", "PEM")
    with address.found("https://prometheus.example.org/", {}) as where:
        assert where == Where("https://prometheus.example.org")
    with pytest.raises(RefusedError, match="is no URL"), address.found("prometheus:9090", {}):
        pass


@pytest.mark.parametrize("wrong", ["", "1", "1w", "1 h", "4min", "91d", "-1h", "1h30min"])
def test_a_range_that_makes_no_sense_is_refused(wrong: str):
    with pytest.raises(RefusedError, match="from 5min to 90d"):
        seconds(wrong)


def test_a_board_that_is_not_there_is_refused_with_those_that_are(checkout: Checkout):
    with pytest.raises(RefusedError, match=r"no such board; there are: overview, .*kafka"):
        asked(checkout, "1h", "kafak")
    assert len(asked(checkout, "1h", "").boards) > 10


@pytest.mark.parametrize("wrong", ["x", "-1", "65536"])
def test_a_port_that_is_none_is_refused(checkout: Checkout, wrong: str):
    with pytest.raises(RefusedError, match="is no port"):
        command.port(wrong, checkout)
    assert command.port("", checkout) == 30131


@pytest.mark.parametrize("span", [300, 3600, 21_600, 7 * 86_400, 90 * 86_400])
def test_moments_are_the_same_ones_however_often_it_is_asked(span: int):
    found = grid(span, NOW)
    assert found == grid(span, NOW + found.step - NOW % found.step - 0.1)
    assert found.end % found.step == 0
    assert NOW - found.step < found.end <= NOW
    assert 20 <= found.count <= 122
    assert found.end - found.start == pytest.approx(span, rel=0.06)


@contextmanager
def serving(kept: Kept) -> Iterator[httpx.Client]:
    with PageServer(kept, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        base = f"http://{HOST}:{server.server_port}"
        with httpx.Client(base_url=base, timeout=60, trust_env=False) as http:
            yield http
        server.shutdown()
        thread.join()


def test_it_is_made_anew_when_it_is_asked_for_and_old():
    made: list[int] = []

    def make() -> str:
        made.append(1)
        return f"page {len(made)}"

    with serving(Kept(make, 3600)) as http:
        answers = [http.get("/"), http.get("/?x"), http.get("/")]
        assert [one.text for one in answers] == ["page 1"] * 3
        assert answers[0].headers["content-type"] == "text/html; charset=utf-8"
    with serving(Kept(make, 0)) as http:
        assert [http.get("/").text for _ in range(2)] == ["page 2", "page 3"]


def test_who_comes_under_another_name_is_shown_nothing():
    """A page elsewhere, whose name was made to lead to this machine."""
    with serving(Kept(lambda: "secret", 60)) as http:
        answer = http.get("/", headers={"host": "evil.example.org:30031"})
        assert (answer.status_code, "secret" in answer.text) == (421, False)
        assert http.get("/", headers={"host": "localhost:30031"}).text == "secret"
        assert http.get("/etc/passwd").status_code == 404


def test_while_prometheus_is_away_it_says_so_and_tries_again():
    away = [True]

    def make() -> str:
        if away[0]:
            raise AwayError("http://127.0.0.1:9 does not answer")
        return "page"

    with serving(Kept(make, 60)) as http:
        answer = http.get("/")
        assert (answer.status_code, answer.text) == (502, "http://127.0.0.1:9 does not answer\n")
        away[0] = False
        assert http.get("/").text == "page"


def test_it_listens_on_the_loopback_alone():
    with PageServer(Kept(str, 1), 0) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_a_sentence(api: Api, checkout: Checkout):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RefusedError, match=rf"port {port} of 127\.0\.0\.1 is taken .*PORT="):
            command.watch(Where(api.url), overview(checkout), port, print)
