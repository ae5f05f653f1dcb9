"""Which backups go, and which never do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.backup import retention
from services.backup.catalogue import Entry, Known, Origin, Position, Proof
from services.backup.spec import RetentionSpec

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def known(days: float, *, proven: bool | None = None) -> Known:
    taken = NOW - timedelta(days=days)
    name = f"b-{days}"
    entry = Entry(
        name=name,
        engine="mysql",
        database="client_db",
        started=taken,
        taken=taken,
        finished=taken,
        size=1,
        sha256="",
        position=Position(),
        origin=Origin(host="h", version="9", id="u"),
        revision=None,
        tables={},
    )
    proof = (
        None
        if proven is None
        else Proof(name=name, when=taken, passed=proven, reason="", seconds=1, version="9")
    )
    return Known(entry, proof)


def split(*all_of_them: Known, count: int = 2, days: float = 5) -> tuple[list[str], list[str]]:
    stays, goes = retention.split(all_of_them, RetentionSpec(count=count, days=days), NOW)
    return [one.entry.name for one in stays], [one.entry.name for one in goes]


def test_the_newest_and_the_young_stay():
    assert split(known(1), known(2), known(3), known(9)) == (["b-3", "b-2", "b-1"], ["b-9"])
    assert split(known(20), known(30), known(40)) == (["b-30", "b-20"], ["b-40"])


def test_the_newest_proven_one_stays_however_old():
    stays, goes = split(known(1), known(2), known(60, proven=True), known(90, proven=True))
    assert stays == ["b-60", "b-2", "b-1"]
    assert goes == ["b-90"]


def test_a_drill_that_failed_is_no_proof():
    assert split(known(1), known(2), known(60, proven=False))[1] == ["b-60"]
