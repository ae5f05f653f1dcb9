"""Ports for the servers of a test run, whatever runs beside it."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator


class NoPortError(Exception):
    """The message says which are taken."""


class _Ports:
    """Ports of this process alone: none that the system gives to those who connect, which may get
    one between its choice and the start of its server, and none of another test process.

    Whoever holds the first port of a block has the block.
    """

    FIRST, LAST, BLOCK = 15_000, 29_999, 250

    def __init__(self) -> None:
        self._holding: socket.socket | None = None
        self._next: Iterator[int] = iter(())

    def take(self) -> int:
        """The next one that nothing listens on."""
        if self._holding is None:
            self._holding = self._claim()
        for port in itertools.islice(self._next, self.BLOCK):
            if made := _listen(port):
                made.close()
                return port
        raise NoPortError(f"no port near {self._holding.getsockname()[1]} is free")

    def _claim(self) -> socket.socket:
        for first in range(self.FIRST, self.LAST, self.BLOCK):
            if made := _listen(first):
                self._next = itertools.cycle(range(first + 1, first + self.BLOCK))
                return made
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
