"""Connections that threads share, one after the other; pool.py is what tasks have."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from services.shared.mysql.blocking import Connection


@dataclass(eq=False, slots=True)
class _Held:
    driver: Connection
    made: float = field(default_factory=time.monotonic)


class Kept:
    """As many connections as threads ask for at a time, made when they are first needed.

    One older than `retire_seconds` is replaced on its next use. Thread-safe.
    """

    def __init__(self, make: Callable[[], Connection], retire_seconds: float) -> None:
        self._make = make
        self._retire_seconds = retire_seconds
        self._lock = threading.Lock()
        self._idle: deque[_Held] = deque()
        """The one used last at the right: it goes first."""
        self._in_use: set[_Held] = set()
        self._starting = 0
        self._good_from = float("-inf")
        """Those made before are not used again."""

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def in_use(self) -> int:
        return len(self._in_use) + self._starting

    @contextmanager
    def connection(self) -> Generator[Connection]:
        """One that nobody else has meanwhile. Raises what making one raises."""
        held = self._take()
        try:
            yield held.driver
        finally:
            self._give(held)

    def close(self) -> None:
        """Close the idle ones, and cut off who still uses one."""
        with self._lock:
            cut, idle = list(self._in_use), list(self._idle)
            self._idle.clear()
            self._good_from = float("inf")
        for held in cut:
            held.driver.cut_off()
        for held in idle:
            _quit(held)

    def _take(self) -> _Held:
        with self._lock:
            self._starting += 1
        try:
            held = self._sound() or _Held(self._make())
            with self._lock:
                self._in_use.add(held)
        finally:
            with self._lock:
                self._starting -= 1
        return held

    def _sound(self) -> _Held | None:
        """The one used last that is as good as new."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                held = self._idle.pop()
                if held.driver.is_lost():
                    # The server went, and took all with it; some do not know it yet.
                    self._good_from = max(self._good_from, time.monotonic())
                if held.made < self._good_from:
                    held.driver.drop()
                    continue
            if time.monotonic() - held.made > self._retire_seconds:
                _quit(held)
                continue
            return held

    def _give(self, held: _Held) -> None:
        with self._lock:
            self._in_use.discard(held)
            if held.driver.open and held.made >= self._good_from:
                self._idle.append(held)
                return
        held.driver.drop()


def _quit(held: _Held) -> None:
    """Close it as the protocol has it, so that the server counts no connection that broke off."""
    with contextlib.suppress(Exception):
        held.driver.close()
