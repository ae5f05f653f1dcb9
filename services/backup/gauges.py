"""What the archiver says of the backups beside which it runs, for who watches them."""

from __future__ import annotations

import time
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from services.backup.engine import BackupError, Job
from services.backup.storage.storage import StorageError

_LOOK_SECONDS: Final = 60.0  # each look reads every manifest
_GAUGES: Final = {
    "backup_newest_timestamp_seconds": "The moment that the newest backup holds.",
    "backup_newest_bytes": "What the newest backup takes.",
    "backup_newest_proven_timestamp_seconds": (
        "The moment that the newest backup holds which a drill restored, and found the same."
    ),
    "backup_drill_passed": "Whether the newest drill passed.",
    "backup_drill_timestamp_seconds": "When the newest drill ended.",
    "backup_drill_seconds": "How long the newest drill took.",
}


class BackupGauges:
    """What there is not has no value: a backup that was never proven is no backup of 1970."""

    def __init__(self, job: Job, registry: CollectorRegistry) -> None:
        self._job = job
        self._gauges = {
            name: Gauge(name, text, ["database"], registry=registry)
            for name, text in _GAUGES.items()
        }
        self._looked: float | None = None

    def look(self) -> None:
        """Read the catalogue, if that is not just done. Raises BackupError, StorageError."""
        now = time.monotonic()
        if self._looked is not None and now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        try:
            found = self._found()
        except (BackupError, StorageError):
            self._looked = None  # what they said is no longer true: again in the next round
            self._say({})
            raise
        self._say(found)

    def _found(self) -> dict[str, float]:
        known = self._job.catalogue.all()
        found: dict[str, float] = {}
        if known:
            found["backup_newest_timestamp_seconds"] = known[-1].entry.taken.timestamp()
            found["backup_newest_bytes"] = known[-1].entry.size
        if proven := [one for one in known if one.proven]:
            found["backup_newest_proven_timestamp_seconds"] = proven[-1].entry.taken.timestamp()
        if proofs := [one.proof for one in known if one.proof is not None]:
            newest = max(proofs, key=lambda proof: proof.when)
            found["backup_drill_passed"] = float(newest.passed)
            found["backup_drill_timestamp_seconds"] = newest.when.timestamp()
            found["backup_drill_seconds"] = newest.seconds
        return found

    def _say(self, found: dict[str, float]) -> None:
        for name, gauge in self._gauges.items():
            if name in found:
                gauge.labels(self._job.spec.database).set(found[name])
            else:
                gauge.clear()
