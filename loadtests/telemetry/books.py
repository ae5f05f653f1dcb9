"""Keeps and closes the books of points: what was sent against what the table holds.

A point's key is its device, metric and time. Its values are whole numbers that grow with every
write of the key, so that a stored one tells which write it comes from.
"""

from collections.abc import Iterable, Iterator

from bootstrap.kube import Kube
from loadtests.differences import COMPARE_SECONDS, Differences, bounds, settle
from loadtests.outcome import Outcome
from loadtests.telemetry.client import Point, key_of
from loadtests.values import ValueLedger

SERVER = "telemetry-database"
DATABASE = "telemetry"
_PAUSE = 3.0
"""Seconds between two looks: each reads all points of the run."""


def note(ledger: ValueLedger, points: Iterable[Point], outcome: Outcome) -> None:
    """Note the points of a request, all of which have its outcome.

    Raises:
        ValueError: a value is no whole number from 1 on.
    """
    for point in points:
        if not point.value.is_integer():
            raise ValueError(f"the value {point.value} of a point is no whole number")
        ledger.note(key_of(point), int(point.value), outcome)


def rows(text: str) -> Iterator[tuple[str, float]]:
    """Keys and values, of lines as MySQL's client prints them."""
    for line in text.splitlines():
        key, _, value = line.rpartition("\t")
        yield key, float(value)


def compare(kube: Kube, prefix: str, ledger: ValueLedger) -> Differences:
    """Hold the ledger against the source's table: all points of devices of the run.

    Raises:
        KubeError: the server could not be asked.
        ValueError: the prefix holds more than lower-case letters, digits and dashes.
    """
    first, beyond = bounds(prefix)
    statement = f"""
        SELECT device_id, metric, ts, value FROM telemetry
        WHERE device_id >= '{first}' AND device_id < '{beyond}'
    """  # noqa: S608 - the prefix is checked
    text = kube.mysql(DATABASE, statement, server=SERVER, timeout=COMPARE_SECONDS)
    return ledger.check(rows(text))


def close(kube: Kube, prefix: str, ledger: ValueLedger, within: float) -> Differences:
    """What is left of the differences so many seconds later, or nothing as soon as that is so.

    Raises:
        KubeError: the server could not be asked.
        ValueError: as ``compare``.
    """
    return settle(lambda: compare(kube, prefix, ledger), within, _PAUSE)
