"""Keeps users' connections open, in a process that has thousands of them."""

import select
from typing import Any

from geventhttpclient.connectionpool import ConnectionPool


def keep() -> None:
    """Have every user of this process send its next request over the connection it has.

    geventhttpclient looks at a connection by ``select()`` before it uses it again, which knows no
    file numbered 1024 or higher, and takes that for a connection that is closed: all but the first
    thousand users would make a new one for each request, and the load would be another.
    """
    ConnectionPool._is_socket_alive = _is_alive  # pyright: ignore[reportPrivateUsage]


def _is_alive(self: ConnectionPool, sock: Any) -> bool:
    """An idle connection has nothing to read: it would be its end, or what nobody asked for."""
    if sock is None or sock.fileno() < 0:
        return False
    looking = select.poll()
    looking.register(sock.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return not looking.poll(0)
