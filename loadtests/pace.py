"""Turns at a pace, for streams of writes and for the users of a load test alike."""


class Pace:
    """Turns that are ``1 / per_second`` apart, or none at all. Turns missed are not made up."""

    def __init__(self, per_second: float | None) -> None:
        self._interval = 0.0 if per_second is None else 1 / per_second
        self._next = 0.0

    def delay(self, now: float) -> float:
        """Take the next turn; gives the seconds to wait for it."""
        turn = max(now, self._next)
        self._next = turn + self._interval
        return turn - now

    def skip(self) -> None:
        """Leave one turn out: what was to be done at it is done already."""
        self._next += self._interval
