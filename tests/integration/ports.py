"""Ports for the servers of a test run, whatever runs beside it."""

from __future__ import annotations

import socket
from collections.abc import Iterator


class NoPortError(Exception):
    """The message says which are taken."""


class _Ports:
    """Ports of this process alone: none that the system gives to those who connect, which may get
    one between its choice and the start of its server, and none of another test process. None is
    given twice: a server that a test has stopped for a while finds its own free when it starts.

    Whoever holds the first port of a block has the block.
    """

    FIRST, LAST, BLOCK = 15_000, 29_999, 250

    def __init__(self) -> None:
        self._holding: list[socket.socket] = []
        self._next: Iterator[int] = iter(())

    def take(self) -> int:
        """The next one that nothing listens on."""
        while True:
            for port in self._next:
                if made := _listen(port):
                    made.close()
                    return port
            self._claim()

    def _claim(self) -> None:
        for first in range(self.FIRST, self.LAST, self.BLOCK):
            if made := _listen(first):
                self._holding.append(made)
                self._next = iter(range(first + 1, first + self.BLOCK))
                return
        raise NoPortError(f"other tests hold all ports from {self.FIRST} on")


def _listen(port: int) -> socket.socket | None:
    made = socket.socket()
    try:
        made.bind(("127.0.0.1", port))
    except OSError:
        made.close()
        return None
    return made


_ports = _Ports()


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on; the next call gives another."""
    return _ports.take()
