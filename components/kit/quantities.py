"""Kubernetes quantities: cores like `250m`, bytes like `512Mi`."""

import re
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator

_UNITS: Final[dict[str, float]] = {
    "": 1,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


_QUANTITY: Final = re.compile(r"^(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")


def amount(quantity: str) -> float:
    """A Kubernetes quantity in base units (cores or bytes).

    Raises:
        ValueError: the text is not a quantity.
    """
    match = _QUANTITY.match(quantity)
    if match is None:
        raise ValueError(
            f"{quantity!r} is not a Kubernetes quantity; write cores like '250m' and bytes like "
            "'512Mi'"
        )
    return float(match[1]) * _UNITS[match[2] or ""]


def mebibytes(quantity: str) -> int:
    """A quantity of bytes in whole MiB, rounded down."""
    return int(amount(quantity) // 2**20)


def _quantity(value: str) -> str:
    amount(value)
    return value


Quantity: TypeAlias = Annotated[str, AfterValidator(_quantity)]
