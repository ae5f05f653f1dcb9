"""Freezing and thawing containers, as often and as fast as a test likes."""

import time
from collections.abc import Callable

from docker.errors import APIError


def once_the_engine_knows(change: Callable[[], None]) -> None:
    """Freeze or thaw, also right after the other.

    The engine hears of either once more from containerd, later and in another thread, and until
    both have arrived may take a running container for a paused one, or the reverse.
    """
    give_up = time.monotonic() + 60
    while True:
        try:
            return change()
        except APIError as error:
            if "paused" not in str(error.explanation) or time.monotonic() > give_up:
                raise
            time.sleep(0.02)
