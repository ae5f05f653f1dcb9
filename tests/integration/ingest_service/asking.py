"""Questions to a service that may be told to wait a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from tests.integration.authority import PATIENCE


class _Answer(Protocol):
    @property
    def status_code(self) -> int: ...


A = TypeVar("A", bound=_Answer)


def patiently(ask: Callable[[], A]) -> A:
    """What is answered once the service has what it needs.

    A busy machine may take longer for TLS and a login than the service waits for its servers. Then
    it answers 503, which says when to ask again.
    """
    until = time.monotonic() + 2 * PATIENCE
    while (answer := ask()).status_code == 503 and time.monotonic() < until:
        time.sleep(1)
    return answer
