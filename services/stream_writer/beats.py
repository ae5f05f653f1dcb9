"""The sign of life of a process with several loops."""

from __future__ import annotations

from services.shared.runtime.heartbeat import Heartbeat


class SlowestBeat(Heartbeat):
    """Alive while each of its parts is: one loop that is stuck is not hidden by the others."""

    def __init__(self, limit_seconds: float) -> None:
        super().__init__(limit_seconds)
        self._limit_seconds = limit_seconds
        self._parts: list[Heartbeat] = []

    def part(self) -> Heartbeat:
        """A heartbeat for one more loop."""
        made = Heartbeat(self._limit_seconds)
        self._parts.append(made)
        return made

    def age(self) -> float:
        """Seconds since the last beat of the part that has been silent for longest."""
        return max((part.age() for part in self._parts), default=super().age())
