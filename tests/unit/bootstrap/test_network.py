import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.checkout import Checkout
from bootstrap.network import listening_inodes, port_owner, require_port
from bootstrap.steps import StepFailed

TABLE = """\
   0: 0100007F:7724 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 4711 1 0 100
   1: 0100007F:7724 0100007F:A3D2 01 00000000:00000000 00:00000000 00000000  0  0 4712 1 0 20
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 4713 1 0 100
""".splitlines()


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path, tmp_path / "cache")


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_only_sockets_that_listen_at_the_port_hold_it() -> None:
    assert listening_inodes(TABLE, 30500) == {"4711"}
    assert listening_inodes(TABLE, 30501) == set()


def test_the_process_that_holds_a_port_is_named(checkout: Checkout, taken_port: int) -> None:
    owner = port_owner(checkout, taken_port)

    assert owner is not None
    assert f"(pid {os.getpid()})" in owner


def test_it_is_named_though_it_closes_files_while_it_is_looked_at(
    checkout: Checkout, tmp_path: Path
) -> None:
    # The listing of descriptors takes the lowest number that is free: before that of the socket.
    lower = (tmp_path / "file").open("w")
    with socket.create_server(("127.0.0.1", 0)) as server:
        lower.close()
        owner = port_owner(checkout, server.getsockname()[1])

    assert owner is not None
    assert f"(pid {os.getpid()})" in owner


def test_a_free_port_has_no_owner(checkout: Checkout, taken_port: int) -> None:
    # Bound, so that no other process can listen there meanwhile, and without anybody who listens.
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        assert port_owner(checkout, held.getsockname()[1]) is None


def test_a_taken_port_is_reported_with_its_owner_and_the_way_out(
    checkout: Checkout, taken_port: int
) -> None:
    with pytest.raises(
        StepFailed,
        match=rf"port {taken_port} \(registry\) is taken by process .*make up PORT_OFFSET=100",
    ):
        require_port(checkout, taken_port, "registry")
