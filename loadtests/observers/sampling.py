"""A look every other second in a thread of its own, until it is told to stop."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

INTERVAL_SECONDS = 2.0


class Sampler:
    """Calls ``look`` every two seconds. A look that fails is one that is missing, and no more:
    under load the platform may be slow to answer those who only want to know."""

    def __init__(
        self,
        name: str,
        look: Callable[[], object],
        failures: tuple[type[Exception], ...],
        interval: float = INTERVAL_SECONDS,
    ) -> None:
        self.looks = 0
        self.missed = 0
        self.failure = ""
        self.name = name
        self._look = look
        self._failures = failures
        self._interval = interval
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def complaint(self) -> str | None:
        """A sentence when more than half of the looks failed."""
        if 2 * self.missed <= self.looks:
            return None
        return (
            f"{self.missed} of {self.looks} looks at the {self.name} failed, "
            f"the last with {self.failure}"
        )

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            self.looks += 1
            try:
                self._look()
            except self._failures as error:
                self.missed += 1
                self.failure = f"{type(error).__name__}: {error}"
            due = max(due + self._interval, time.monotonic())
            self._over.wait(due - time.monotonic())
