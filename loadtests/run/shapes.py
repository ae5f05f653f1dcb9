"""How many users there are when, by the name of a shape."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

QUIET = 0.2
"""Of all users, how many a spike begins and ends with."""
STAY = 0.25
"""Of the time that a ramp's users take to come, how long all stay."""
SOAK_SLOWER = 4
"""How much slower a soak lets its users in."""


class Stage(NamedTuple):
    """Users come or go at ``rate`` per second until there are ``users``; ends at ``until``."""

    users: int
    rate: float
    until: float


def steady(users: int, seconds: float, rate: float) -> tuple[Stage, ...]:
    """All users come in, then stay for ``seconds``."""
    return (Stage(users, rate, users / rate + seconds),)


def ramp(users: int, seconds: float, rate: float) -> tuple[Stage, ...]:
    """Users come in evenly over ``seconds``, at most ``rate`` a second, then stay a while."""
    slowest = min(rate, users / seconds)
    return (Stage(users, slowest, (1 + STAY) * users / slowest),)


def spike(users: int, seconds: float, rate: float) -> tuple[Stage, ...]:
    """A fifth of the users, then all, as fast as ``rate`` lets them in, then a fifth again: a third
    of ``seconds`` each."""
    few = max(1, round(users * QUIET))
    third = seconds / 3
    calm = few / rate + third
    high = calm + (users - few) / rate + third
    return (
        Stage(few, rate, calm),
        Stage(users, rate, high),
        Stage(few, rate, high + (users - few) / rate + third),
    )


def soak(users: int, seconds: float, rate: float) -> tuple[Stage, ...]:
    """Like steady, with users that come in slowly: for hours."""
    return steady(users, seconds, rate / SOAK_SLOWER)


SHAPES: Mapping[str, Callable[[int, float, float], tuple[Stage, ...]]] = {
    "steady": steady,
    "ramp": ramp,
    "spike": spike,
    "soak": soak,
}


def stage_at(stages: tuple[Stage, ...], seconds: float) -> Stage | None:
    """The stage that holds so many seconds after the begin; None when all are over."""
    return next((stage for stage in stages if seconds < stage.until), None)
