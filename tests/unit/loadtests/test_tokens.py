"""Tokens of a run: got once, renewed in time, and their client deactivated when it is over."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs

import httpx
import pytest
from rich.console import Console

from bootstrap.checkout import Checkout
from loadtests import tokens
from loadtests.tokens import ADMINISTRATOR, TokenFailed, Tokens, auth_of, header_of, session
from services.contracts.scopes import DATA_READ

OWN_SECRET = "secret of the run"
LASTS = 600


@dataclass
class Issuer:
    """An authorization server over real HTTP, as far as a run meets it."""

    port: int = 0
    away: bool = False
    issued: list[tuple[str, str]] = field(default_factory=list)
    """Client and scopes."""
    registered: list[dict[str, Any]] = field(default_factory=list)
    deactivated: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, shown: str, body: bytes) -> tuple[int, Any]:
        if self.away:
            return 503, {"error": "temporarily_unavailable"}
        match method, path:
            case "POST", "/oauth/token":
                client = base64.b64decode(shown.removeprefix("Basic ")).decode().partition(":")[0]
                self.issued.append((client, parse_qs(body.decode())["scope"][0]))
                return 200, {"access_token": f"token-{len(self.issued)}", "expires_in": LASTS}
            case "POST", "/oauth/clients":
                self.registered.append({"as": shown, **json.loads(body)})
                return 201, {"client_id": "the-run", "client_secret": OWN_SECRET}
            case "DELETE", _:
                self.deactivated.append(path.rpartition("/")[2])
                return 204, None
            case _:
                return 404, None


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    state = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            shown = self.headers.get("Authorization", "")
            status, said = state.answer(self.command, self.path, shown, body)
            text = b"" if said is None else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_POST(self) -> None:
            self._any()

        def do_DELETE(self) -> None:
            self._any()

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(tokens, "time", made)
    return made


@pytest.fixture
def own(issuer: Issuer) -> Iterator[Tokens]:
    base = f"http://127.0.0.1:{issuer.port}"
    with httpx.Client(base_url=base, timeout=60, trust_env=False) as http:
        yield Tokens(http, "the-run", OWN_SECRET, (DATA_READ,))


@dataclass(frozen=True)
class Place:
    """As much of a checkout as a session asks for."""

    id: str
    the_port: int

    def port(self, name: str) -> int:
        assert name == "auth"
        return self.the_port


@pytest.fixture
def checkout(issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    class Kube:
        def __init__(self, _checkout: object) -> None: ...

        def json(self, *_asked: str) -> Any:
            return {"data": {"password": base64.b64encode(b"the first secret").decode()}}

    monkeypatch.setattr(tokens, "Kube", Kube)
    return cast(Checkout, Place(str(tmp_path), issuer.port))


def test_one_token_serves_until_half_of_its_life_is_over(
    own: Tokens, issuer: Issuer, clock: Clock
) -> None:
    assert {own.header() for _ in range(3)} == {"Bearer token-1"}
    clock.now += LASTS / 2 - 1
    assert own.header() == "Bearer token-1"
    clock.now += 1
    assert own.header() == "Bearer token-2"
    assert issuer.issued == [("the-run", DATA_READ)] * 2


def test_threads_that_find_it_due_ask_once(own: Tokens, issuer: Issuer) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: own.header(), range(32))) == {"Bearer token-1"}
    assert len(issuer.issued) == 1


def test_while_the_issuer_is_away_a_token_serves_to_its_end_and_not_beyond(
    own: Tokens, issuer: Issuer, clock: Clock
) -> None:
    own.header()
    issuer.away = True
    clock.now += LASTS - 1
    assert own.header() == "Bearer token-1"
    clock.now += tokens._AGAIN_SECONDS
    with pytest.raises(TokenFailed, match="answers 503"):
        own.header()
    issuer.away = False
    assert own.header() == "Bearer token-2"


def test_neither_secret_nor_token_is_in_what_is_said_of_them(own: Tokens, issuer: Issuer) -> None:
    token = own.header().removeprefix("Bearer ")
    own._renew_at = own._ends_at = 0.0
    issuer.away = True
    with pytest.raises(TokenFailed) as failed:
        own.header()
    for said in (repr(own), str(failed.value)):
        assert OWN_SECRET not in said
        assert token not in said


def test_an_issuer_that_does_not_listen_is_named(issuer: Issuer) -> None:
    with httpx.Client(base_url="http://127.0.0.1:1", trust_env=False) as http:
        nowhere = Tokens(http, "the-run", OWN_SECRET, (DATA_READ,))
        with pytest.raises(TokenFailed, match=r"POST http://127.0.0.1:1/oauth/token: ConnectError"):
            nowhere.header()


def test_a_session_has_a_client_of_its_own_with_its_scopes_and_no_other(
    checkout: Checkout, issuer: Issuer
) -> None:
    assert (auth_of(checkout), header_of(checkout)) == (None, None)
    with session(checkout, (DATA_READ,)) as outer, session(checkout) as inner:
        assert inner is outer
        assert header_of(checkout) == outer.header()
        assert issuer.issued == [(ADMINISTRATOR, "clients:admin"), ("the-run", DATA_READ)]
        [made] = issuer.registered
        assert (made["as"], made["scope"]) == ("Bearer token-1", DATA_READ)
        assert issuer.deactivated == []
    assert issuer.deactivated == ["the-run"]
    assert header_of(checkout) is None


def test_the_client_is_deactivated_when_a_run_fails_and_nothing_hides_why(
    checkout: Checkout, issuer: Issuer
) -> None:
    def fail() -> None:
        with session(checkout):
            raise ValueError("the run")

    def fail_alone() -> None:
        with session(checkout):
            issuer.away = True
            raise ValueError("the run")

    with pytest.raises(ValueError, match="the run"):
        fail()
    assert issuer.deactivated == ["the-run"]
    with pytest.raises(ValueError, match="the run"):
        fail_alone()
    assert header_of(checkout) is None


def test_requests_show_the_token_of_the_moment(
    checkout: Checkout, issuer: Issuer, clock: Clock
) -> None:
    seen: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(200)

    with session(checkout), httpx.Client(transport=httpx.MockTransport(note)) as http:
        for _ in range(2):
            http.get("http://x", auth=auth_of(checkout))
            clock.now += LASTS
    assert seen == ["Bearer token-2", "Bearer token-3"]


def test_a_token_is_printed_alone_and_its_client_is_deactivated(
    checkout: Checkout, issuer: Issuer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tokens.show(checkout, Console(file=io.StringIO()), (DATA_READ,))
    assert capsys.readouterr().out == "token-2\n"
    assert issuer.issued[1] == ("the-run", DATA_READ)
    assert issuer.deactivated == ["the-run"]


def test_without_a_cluster_there_is_a_sentence_and_nothing_where_the_token_would_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = io.StringIO()
    assert not tokens.show(Checkout(tmp_path, tmp_path), Console(file=output, width=200))
    assert output.getvalue().startswith("no token: this checkout has no cluster")
    assert capsys.readouterr().out == ""
