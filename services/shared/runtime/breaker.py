"""Keeps calls from what is away, and lets one at a time look whether it is back.

Closed, all calls are made; after some failures in a row it is open, and none is; after a while it
is half-open, and one is: by how that ends it closes, or opens for another while.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import BreakerSettings

log = get_logger(__name__)

_SPREAD: Final = 0.25
"""By which part it stays open for longer, at random: pods that saw one outage do not look for its
end at one moment."""
_CLOSED, _HALF_OPEN, _OPEN = 0, 1, 2


class OpenError(Exception):
    """Nothing was called: what would have been is away."""


class BreakerMetrics:
    """Those of all breakers of a process, told apart by what each is around."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.state = Gauge(
            "circuit_breaker_state",
            "0: closed, all calls are made; 1: half-open, one call looks; 2: open, none is made.",
            ["dependency"],
            registry=registry,
        )
        self.opened = Counter(
            "circuit_breaker_opened",
            "Times that a closed breaker opened.",
            ["dependency"],
            registry=registry,
        )
        self.refused = Counter(
            "circuit_breaker_refused",
            "Calls that were not made.",
            ["dependency"],
            registry=registry,
        )


class Breaker:
    """Around one dependency of a process. For tasks of one event loop; nothing here waits."""

    def __init__(
        self,
        dependency: str,
        settings: BreakerSettings,
        metrics: BreakerMetrics,
        *,
        failures: tuple[type[Exception], ...],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`dependency`: its name, for metrics and log lines; `failures`: what a call raises when
        the dependency is away. `clock` is in seconds."""
        self._dependency = dependency
        self._settings = settings
        self._failures = failures
        self._clock = clock
        self._in_a_row = 0
        self._until: float | None = None  # when to look again; None: closed
        self._looking = False
        self._period = 0
        self._state = metrics.state.labels(dependency)
        self._opened = metrics.opened.labels(dependency)
        self._refused = metrics.refused.labels(dependency)

    @property
    def refuses(self) -> bool:
        """Whether a call would not be made now."""
        until = self._until
        return until is not None and (self._looking or self._clock() < until)

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """Around one call; a limit of time belongs inside.

        What is cancelled, or raises anything but `failures`, says nothing of the dependency; if it
        was to look, the next one does.

        Raises:
            OpenError: instead of entering.
        """
        if self.refuses:
            self._refused.inc()
            raise OpenError(self._dependency)
        # What began in another period is no news: it was sent before the dependency went away, or
        # came back.
        period = self._period
        if self._until is not None:
            self._looking = True
            self._state.set(_HALF_OPEN)
        try:
            yield
        except self._failures as error:
            if period == self._period:
                self._failed(error)
            raise
        except BaseException:
            if period == self._period and self._looking:
                self._looking = False
                self._state.set(_OPEN)
            raise
        if period == self._period:
            self._succeeded()

    def _failed(self, error: Exception) -> None:
        self._in_a_row += 1
        if self._until is None:
            if self._in_a_row < self._settings.failures:
                return
            self._opened.inc()
            log.warning("circuit_opened", dependency=self._dependency, error=type(error).__name__)
        seconds = self._settings.open_seconds
        self._until = self._clock() + seconds * (1 + _SPREAD * random.random())  # noqa: S311
        self._turn(_OPEN)

    def _succeeded(self) -> None:
        self._in_a_row = 0
        if self._until is not None:
            self._until = None
            self._turn(_CLOSED)
            log.info("circuit_closed", dependency=self._dependency)

    def _turn(self, state: int) -> None:
        self._period += 1
        self._looking = False
        self._state.set(state)
