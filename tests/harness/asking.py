"""Questions to a service that may be told to wait a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar


class _Answer(Protocol):
    @property
    def status_code(self) -> int: ...


A = TypeVar("A", bound=_Answer)


def patiently(ask: Callable[[], A], seconds: float = 60, pause: float = 0.5) -> A:
    """What is answered in the end, within `seconds`, by a service that may have to be asked again.

    A machine that has much else to do may take longer for TLS and a login, or for a look at Kafka,
    than the service waits for them. Then it answers 503, which says when to come again.
    """
    until = time.monotonic() + seconds
    while (answer := ask()).status_code == 503 and time.monotonic() < until:
        time.sleep(pause)
    return answer
