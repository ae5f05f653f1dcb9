"""Values as people read them, and round numbers for axes."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from infra.monitoring.boards.board import Unit

_THOUSANDS: Final = ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
"""From which value on, by what it is divided, and the letter."""
_FINE: Final = ((1.0, " s"), (1e-3, " ms"), (1e-6, " µs"), (1e-9, " ns"))
_LONG: Final = ((86_400.0, " d"), (3600.0, " h"), (60.0, " min"))
_BYTES: Final = ((1024.0**4, " TiB"), (1024.0**3, " GiB"), (1024.0**2, " MiB"), (1024.0, " KiB"))


def written(value: float, unit: Unit) -> str:
    """`1.25 ms`, `34 %`, `1.5 GiB`, `12.3k`: three digits that count, and the unit."""
    return _WRITERS[unit](value)


def _digits(value: float) -> str:
    """Three that count, without what is but zeros."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    if abs(value) < 1e-4:
        return f"{value:.0e}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(decimals, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _count(value: float) -> str:
    for least, size, name in _THOUSANDS:
        if abs(value) >= least:
            return _digits(value / size) + name
    return _digits(value)


def _seconds(value: float) -> str:
    for size, name in _LONG:
        if abs(value) >= 2 * size:
            return _digits(value / size) + name
    for size, name in _FINE:
        if abs(value) >= size * 0.9995:
            return _digits(value / size) + name
    return "0 s"


def _bytes(value: float) -> str:
    for size, name in _BYTES:
        if abs(value) >= size:
            return _digits(value / size) + name
    return f"{_digits(value)} B"


def _percent(value: float) -> str:
    if 0 < abs(value) < 0.01:
        return "<0.01" if value > 0 else ">-0.01"
    return _digits(round(value, 2) if abs(value) < 1 else value)


def _yes_no(value: float) -> str:
    return {0.0: "no", 1.0: "yes"}.get(value, _digits(value))


_WRITERS: Final[Mapping[Unit, Callable[[float], str]]] = {
    Unit.COUNT: _count,
    Unit.PER_SECOND: lambda value: f"{_count(value)}/s",
    Unit.SECONDS: _seconds,
    Unit.BYTES: _bytes,
    Unit.BYTES_PER_SECOND: lambda value: f"{_bytes(value)}/s",
    Unit.RATIO: lambda value: f"{_percent(100 * value)} %",
    Unit.CORES: _digits,
    Unit.DAYS: lambda value: f"{_digits(value)} d",
    Unit.YES_NO: _yes_no,
}


def ticks(low: float, high: float, unit: Unit, count: int = 4) -> list[float]:
    """Round numbers of the unit from below `low` to above `high`, about `count` apart."""
    if not high > low:
        high = low + 1.0
    raw = (high - low) / count
    step = _step(raw, unit)
    if unit is Unit.YES_NO:
        step = max(step, 1.0)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * number for number in range(first, max(last, first + 1) + 1)]


def _step(raw: float, unit: Unit) -> float:
    """The next round number of the unit from `raw` on."""
    if unit is Unit.SECONDS and raw > 30:
        sizes = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
        if raw <= sizes[-1]:
            return float(next(size for size in sizes if size >= raw * 0.999))
        return 86_400.0 * _round(raw / 86_400.0)
    if unit in (Unit.BYTES, Unit.BYTES_PER_SECOND) and raw > 1:
        power = 1024.0 ** math.floor(math.log(raw, 1024))
        share = raw / power
        # 1000 KiB and more: the next round number is one of the next unit.
        return power * (1024.0 if share > 512 else _round(share))
    return _round(raw)


def _round(raw: float) -> float:
    size = 10.0 ** math.floor(math.log10(raw))
    return next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * 0.999)


def clock(first: int, last: int, most: int = 6) -> Sequence[int]:
    """Round times of the day in a span, in seconds since 1970."""
    sizes = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800)
    step = next((size for size in sizes if (last - first) / size <= most), 604_800)
    return range(-(-first // step) * step, last + 1, step)


def span(seconds: int) -> str:
    """`90 s`, `15 min`, `6 h`, `2 d`: exactly, as it was asked for."""
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {name}"
    return f"{seconds} s"
