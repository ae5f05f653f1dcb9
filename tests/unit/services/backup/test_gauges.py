"""What an archiver says of backups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.backup.catalogue import Catalogue, Entry, Origin, Position, Proof
from services.backup.engine import BackupError, Job
from services.backup.gauges import BackupGauges
from services.backup.spec import BackupSpec
from services.backup.storage.folder import Folder

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Clock:
    """time.monotonic, at the reader's pace."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("services.backup.gauges.time.monotonic", made)
    return made


@pytest.fixture
def job(tmp_path: Path) -> Job:

    account = {"user": "someone", "password_file": str(tmp_path / "password")}
    spec: dict[str, Any] = {
        "database": "restdb",
        "server": {
            "host": "localhost",
            "port": 5432,
            "ca_file": str(tmp_path / "ca"),
            "backup": account,
            "administrator": account,
            "application": [account],
        },
        "storage": {"kind": "folder", "path": str(tmp_path)},
    }
    return Job(BackupSpec.model_validate(spec), Catalogue(Folder(tmp_path), "restdb"))


def entry(days: int) -> Entry:
    taken = MOMENT + timedelta(days=days)
    return Entry(
        name=f"restdb-{taken:%Y%m%d-%H%M%S}",
        engine="postgres",
        database="restdb",
        started=taken,
        taken=taken,
        finished=taken,
        size=100 + days,
        sha256="0",
        position=Position(lsn="0/1", timeline=1),
        origin=Origin(host="localhost", version="17", id="1"),
        revision=None,
        tables={},
    )


def proof(of: Entry, *, passed: bool) -> Proof:
    return Proof(
        name=of.name,
        when=of.taken + timedelta(minutes=1),
        passed=passed,
        reason="",
        seconds=4.5,
        version="17",
    )


def said(registry: CollectorRegistry) -> dict[str, float]:
    return {sample.name: sample.value for metric in registry.collect() for sample in metric.samples}


def test_what_there_is_not_has_no_value(job: Job) -> None:
    registry = CollectorRegistry()
    BackupGauges(job, registry).look()
    assert said(registry) == {}


def test_the_newest_the_newest_proven_and_the_newest_drill_are_said(job: Job, clock: Clock) -> None:
    registry = CollectorRegistry()
    gauges = BackupGauges(job, registry)
    first, second = entry(0), entry(1)
    for one in (first, second):
        job.catalogue.add(one)
    job.catalogue.prove(proof(first, passed=True))
    gauges.look()
    assert said(registry) == {
        "backup_newest_timestamp_seconds": second.taken.timestamp(),
        "backup_newest_bytes": 101,
        "backup_newest_proven_timestamp_seconds": first.taken.timestamp(),
        "backup_drill_passed": 1,
        "backup_drill_timestamp_seconds": first.taken.timestamp() + 60,
        "backup_drill_seconds": 4.5,
    }
    job.catalogue.prove(proof(second, passed=False))
    gauges.look()
    assert said(registry)["backup_drill_passed"] == 1  # not asked for anew at every round
    clock.now += 61
    gauges.look()
    assert said(registry)["backup_drill_passed"] == 0
    assert said(registry)["backup_newest_proven_timestamp_seconds"] == first.taken.timestamp()


def test_a_catalogue_that_cannot_be_read_is_said_nothing_of(job: Job, clock: Clock) -> None:
    registry = CollectorRegistry()
    gauges = BackupGauges(job, registry)
    job.catalogue.add(entry(0))
    gauges.look()
    with job.catalogue.storage.write(f"restdb/{entry(1).name}.manifest.json") as file:
        file.write(b"{}")
    clock.now += 61
    for _ in range(2):
        with pytest.raises(BackupError, match="not a manifest"):
            gauges.look()
    assert said(registry) == {}
