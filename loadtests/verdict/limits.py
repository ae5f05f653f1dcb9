"""A limit of the targets: which side of a number a measured value has to be on, and as text."""

from dataclasses import dataclass
from typing import Literal

Unit = Literal["", "ms", "s", "%", "/s"]

_DECIMALS: dict[Unit, int] = {"": 0, "ms": 0, "s": 1, "%": 2, "/s": 1}
_MOST_DECIMALS = 6


@dataclass(frozen=True)
class Limit:
    """``sign`` and ``value``: ``Limit("≤", 2000, "ms")`` holds for 2000 and for nothing above."""

    sign: Literal["<", "≤", ">", "≥"]
    value: float
    unit: Unit = ""
    """What texts say; with ``%`` the value and what is measured are shares, from 0 to 1."""

    def holds(self, measured: float) -> bool:
        """Not for what is no number."""
        match self.sign:
            case "<":
                return measured < self.value
            case "≤":
                return measured <= self.value
            case ">":
                return measured > self.value
            case "≥":
                return measured >= self.value

    @property
    def text(self) -> str:
        """Like ``≤ 2,000 ms``."""
        return f"{self.sign} {number(self._shown(self.value), self.unit)}"

    def show(self, measured: float) -> str:
        """The value as text, with as many decimals as it takes to see which side it is on."""
        shown, limit = self._shown(measured), Limit(self.sign, self._shown(self.value))
        decimals = _DECIMALS[self.unit]
        while decimals < _MOST_DECIMALS:
            if limit.holds(round(shown, decimals)) == self.holds(measured):
                break
            decimals += 1
        return number(shown, self.unit, decimals)

    def _shown(self, value: float) -> float:
        return 100 * value if self.unit == "%" else value


def number(value: float, unit: Unit = "", decimals: int | None = None) -> str:
    """Like ``2,000 ms``, ``0.5 %``, ``97/s``; without ``decimals`` as many as the value has."""
    text = f"{value:,.{_MOST_DECIMALS if decimals is None else decimals}f}"
    if decimals is None:
        text = text.rstrip("0").rstrip(".")
    return text + unit if unit in ("", "/s") else f"{text} {unit}"
