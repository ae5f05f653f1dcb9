"""Rules and routes whose clock runs faster, so that a test sees in a minute what takes five.

Every duration is divided by the same pace: how long an alert waits, lingers, and looks back, how
often is scraped and evaluated, how long Alertmanager collects. What is compared with (an age of
300 seconds) is what it was.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"(\d+)(ms|s|m|h|d|w)")
_LOOKS_BACK: Final = re.compile(r"(\[|offset )((?:\d+(?:ms|s|m|h|d|w))+)")
"""A range, or an offset; a duration within a name of a series is neither."""
_DURATIONS: Final = (
    *("for", "keep_firing_for", "interval", "scrape_interval", "scrape_timeout"),
    *("evaluation_interval", "group_wait", "group_interval", "repeat_interval"),
)


def seconds(duration: str) -> float:
    """Of Prometheus' notation, like `1h30m`.

    Raises:
        ValueError: it is none.
    """
    if _DURATION.sub("", duration):
        raise ValueError(f"{duration!r} is no duration")
    return sum(int(count) * _SECONDS[unit] for count, unit in _DURATION.findall(duration))


def shortened(duration: str, pace: float) -> str:
    """The duration as it is for a clock that runs `pace` times as fast."""
    return f"{round(1000 * seconds(duration) / pace)}ms"


def expression(promql: str, pace: float) -> str:
    """An expression that looks back for a `pace`th of the time."""
    return _LOOKS_BACK.sub(lambda found: found[1] + shortened(found[2], pace), promql)


def document(given: Any, pace: float) -> Any:
    """A file of rules, a configuration of Prometheus or of Alertmanager, as YAML is read."""
    if isinstance(given, Mapping):
        return {key: _value(str(key), value, pace) for key, value in given.items()}
    if isinstance(given, list):
        return [document(each, pace) for each in given]
    return given


def _value(key: str, value: Any, pace: float) -> Any:
    if key in _DURATIONS and isinstance(value, str):
        return shortened(value, pace)
    if key == "expr":
        return expression(value, pace)
    return document(value, pace)
