"""What services register, by package: services.json, which `make docs` writes from their code.

The program imports no service's code.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

Kind = Literal["counter", "gauge", "histogram"]
_OF_HISTOGRAMS: Final = ("_bucket", "_count", "_sum")


@dataclass(frozen=True)
class Metric:
    """One metric, under the name by which it is asked for; of a histogram without `_bucket`."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its series."""
        if self.kind == "histogram":
            return tuple(self.name + end for end in _OF_HISTOGRAMS)
        return (self.name,)


def registered(package: str) -> Mapping[str, Metric]:
    """By name; nothing for a package without metrics."""
    return {
        name: Metric(name, of["kind"], tuple(of["labels"]), of["help"])
        for name, of in _read().get(package, {}).items()
    }


def packages() -> tuple[str, ...]:
    """Those with metrics: services, and what works beside them."""
    return tuple(_read())


@cache
def _read() -> dict[str, dict[str, dict[str, Any]]]:
    return json.loads(Path(__file__).with_name("services.json").read_text(encoding="utf-8"))
