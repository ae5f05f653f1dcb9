"""How far back, as people say it."""

import re
from typing import Final

from operations.request import RefusedError

_PERIOD: Final = re.compile(r"(\d{1,9})(s|min|m|h|d)")
_SECONDS: Final = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}


def seconds(name: str, said: str, least: int, most: int) -> int:
    """Of `30s`, `15min`, `6h`, `7d`, which the option `name` has.

    Raises:
        RefusedError: it is none, or not from `least` to `most` seconds.
    """
    found = _PERIOD.fullmatch(said)
    span = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not least <= span <= most:
        raise RefusedError(
            f"{name}={said}: say how far back, from {_text(least)} to {_text(most)}, as 15min, 6h "
            "or 7d"
        )
    return span


def _text(span: int) -> str:
    unit = next(one for one in ("d", "h", "min", "s") if span % _SECONDS[one] == 0)
    return f"{span // _SECONDS[unit]}{unit}"
