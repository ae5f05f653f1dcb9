"""The load generator notes every write with the outcome that the client really knows."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from bootstrap.checkout import DOCUMENTED_PORTS, Checkout
from loadtests import traffic
from loadtests.ledger import Ledger
from loadtests.outcome import Outcome


class Server(ThreadingHTTPServer):
    """Answers writes as rest-service does; a name that starts with a number is answered with it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.versions: dict[str, int] = {}
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def state(self) -> "Server":
        assert isinstance(self.server, Server)
        return self.server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body["name"] == "hang-up":
            self.close_connection = True
            self.connection.close()
            return
        status = body["name"].partition("-")[0]
        if status.isdecimal():
            self._answer(int(status), {"title": "no"})
            return
        with self.state.lock:
            made = f"id-{len(self.state.versions)}"
            self.state.versions[made] = 1
        self._answer(201, {"id": made, "version": 1})

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        resource_id = self.path.rpartition("/")[2]
        self.state.versions[resource_id] += 1
        self._answer(200, {"id": resource_id, "version": self.state.versions[resource_id]})

    def do_DELETE(self) -> None:
        self._answer(204, None)

    def _answer(self, status: int, body: object) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test's output is no access log."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def here(server: Server, tmp_path: Path) -> Checkout:
    """A checkout whose HTTP port is the server's."""
    return at(server.server_address[1], tmp_path)


def at(port: int, folder: Path) -> Checkout:
    return Checkout(folder, folder, port_offset=port - DOCUMENTED_PORTS["http"])


async def test_a_stream_writes_every_life_cycle_in_order_with_versions(here: Checkout) -> None:
    stream = traffic.Stream("run", resources=6, updates=2, concurrency=3)
    async with traffic.client(here) as http:
        seen: list[int] = []
        writer = traffic.Traffic(http, Ledger(), on_answer=seen.append)
        await writer.run(stream)
    writes = writer.ledger.writes
    assert len(writes) == stream.writes == 24
    assert {write.outcome for write in writes} == {Outcome.ACKED}
    assert seen == list(range(1, 25))
    assert len(set(writer.ids)) == 6
    for resource_id in writer.ids:
        mine = [write for write in writes if write.resource_id == resource_id]
        assert [write.kind for write in mine] == ["create", "update", "update", "delete"]
        assert [write.version for write in mine] == [1, 2, 3, None]
        assert all(w.answered_at is not None and w.answered_at >= w.sent_at for w in mine)


async def test_once_it_is_enough_what_is_begun_is_finished_and_nothing_more_is_begun(
    here: Checkout,
) -> None:
    async with traffic.client(here) as http:
        writer = traffic.Traffic(http, Ledger())

        def tell(answered: int) -> None:
            writer.enough = answered >= 5

        writer.on_answer = tell
        await writer.run(traffic.Stream("run", resources=6, updates=2, concurrency=1))
    assert len(writer.ids) == 2
    assert writer.answered == 8


def test_turns_are_evenly_apart_and_missed_ones_are_not_made_up() -> None:
    pace = traffic.Pace(per_second=10)
    assert [pace.delay(now=5.0) for _ in range(3)] == pytest.approx([0.0, 0.1, 0.2])
    assert pace.delay(now=5.25) == pytest.approx(0.05)
    assert pace.delay(now=9.0) == 0.0
    assert pace.delay(now=9.0) == pytest.approx(0.1)


def test_without_a_pace_every_turn_is_now() -> None:
    pace = traffic.Pace(None)
    assert [pace.delay(now) for now in (3.0, 3.0, 4.0)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (422, Outcome.REFUSED),
        (409, Outcome.REFUSED),
        (500, Outcome.UNKNOWN),
        (503, Outcome.UNKNOWN),
        (200, Outcome.UNKNOWN),
    ],
)
async def test_a_status_is_an_outcome_and_a_5xx_leaves_it_open(
    here: Checkout, status: int, outcome: Outcome
) -> None:
    async with traffic.client(here) as http:
        write = await traffic.Traffic(http, Ledger()).create(str(status), "marker")
    assert (write.outcome, write.answer) == (outcome, str(status))
    assert write.resource_id is None


async def test_a_connection_lost_on_the_way_leaves_the_outcome_open(here: Checkout) -> None:
    async with traffic.client(here) as http:
        write = await traffic.Traffic(http, Ledger()).create("hang-up", "marker")
    assert write.outcome is Outcome.UNKNOWN
    assert "Error" in write.answer


async def test_a_request_that_was_never_sent_is_refused(tmp_path: Path) -> None:
    with socket.socket() as held:  # nobody listens, and nobody else can while it is bound
        held.bind(("127.0.0.1", 0))
        async with traffic.client(at(held.getsockname()[1], tmp_path)) as http:
            write = await traffic.Traffic(http, Ledger()).create("x", "marker")
    assert write.outcome is Outcome.REFUSED
    assert write.answer.startswith("ConnectError")


async def test_a_writer_leaves_a_resource_alone_after_an_open_outcome(here: Checkout) -> None:
    async with traffic.client(here) as http:
        writer = traffic.Traffic(http, Ledger())
        await writer.run(traffic.Stream("503", resources=2, updates=3))
    assert [write.kind for write in writer.ledger.writes] == ["create", "create"]


async def test_a_client_talks_to_the_loopback_address_only(here: Checkout) -> None:
    async with traffic.client(here) as http:
        assert http.base_url.host == "127.0.0.1"
        assert isinstance(http, httpx.AsyncClient)
