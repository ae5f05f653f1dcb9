"""Connections of users, beyond what select() knows."""

import fcntl
import socket
from typing import Any

from geventhttpclient.connectionpool import ConnectionPool

from loadtests.generator import connections


def test_an_idle_connection_with_a_high_number_is_used_again_and_one_that_ended_is_not(
    monkeypatch: Any,
):
    monkeypatch.setattr(ConnectionPool, "_is_socket_alive", ConnectionPool._is_socket_alive)
    ours, theirs = socket.socketpair()
    high = socket.socket(fileno=fcntl.fcntl(ours.fileno(), fcntl.F_DUPFD, 1500))
    ours.close()
    pool = ConnectionPool("127.0.0.1", 1, "127.0.0.1", 1)
    assert not pool._is_socket_alive(high), "what this is for is mended: the module can go"
    connections.keep()
    assert pool._is_socket_alive(high)
    theirs.close()
    assert not pool._is_socket_alive(high)
    high.close()
    assert not pool._is_socket_alive(high)
