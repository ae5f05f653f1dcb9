"""The archiver's rounds, with /health, /ready and /metrics beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.backup.engine import BackupError, Job
from services.backup.gauges import BackupGauges
from services.backup.storage.storage import StorageError
from services.shared.http.health import Readiness
from services.shared.http.liveness import worker_app
from services.shared.http.server import serve, stop_on_signals
from services.shared.runtime import logging, metrics
from services.shared.runtime.heartbeat import Heartbeat
from services.shared.runtime.settings import ServiceSettings, SettingsError
from services.shared.runtime.trouble import Trouble

# A round that takes longer is stuck; a file of the log has 1 GB at most.
_STUCK_SECONDS = 1800.0


class _Reached:
    """How far the archive goes, and the metrics that say so."""

    def __init__(self, job: Job, registry: CollectorRegistry) -> None:
        self._database = job.spec.database
        self._limit = 3 * job.spec.archive.interval_seconds + 30
        self._began = self._until = datetime.now(UTC)
        self._metric = Gauge(
            "backup_archive_until_timestamp_seconds",
            "Everything that was committed until then is archived.",
            ["database"],
            registry=registry,
        ).labels(self._database)
        Gauge(
            "backup_archive_lag_seconds",
            "How much of the newest changes would be lost with the server.",
            ["database"],
            registry=registry,
        ).labels(self._database).set_function(self._behind)
        self._failures = Counter(
            "backup_archive_failures", "Rounds that failed.", ["database"], registry=registry
        ).labels(self._database)
        self._trouble = Trouble()
        self._log = logging.get_logger(__name__)

    def note(self, until: datetime) -> None:
        """A round went well."""
        self._until = until
        self._metric.set(until.timestamp())
        if self._trouble.over():
            self._log.info("archive_failed_no_more", database=self._database)

    def failed(self, error: Exception) -> None:
        """A round did not."""
        self._failures.inc()
        if self._trouble.worth_logging(str(error)):
            self._log.error("archive_failed", database=self._database, reason=str(error))

    async def check(self) -> None:
        """Raises BackupError when several rounds were missed: it is worth somebody's look."""
        if self._until == self._began or self._behind() > self._limit:
            raise BackupError(f"nothing archived since {self._until.isoformat()}")

    def _behind(self) -> float:
        return (datetime.now(UTC) - self._until).total_seconds()


async def run(job: Job, one_round: Callable[[], datetime]) -> None:
    """See `archiver.run`."""
    registry = metrics.new_registry()
    reached, heartbeat = _Reached(job, registry), Heartbeat(_STUCK_SECONDS)
    gauges = BackupGauges(job, registry)
    readiness = Readiness(registry)
    readiness.add("archive", reached.check)
    stop = asyncio.Event()
    stop_on_signals(stop)

    async def work() -> None:
        while not stop.is_set():
            try:
                reached.note(await asyncio.to_thread(one_round))
                await asyncio.to_thread(gauges.look)
            except (BackupError, StorageError, SettingsError, OSError) as error:
                reached.failed(error)
            heartbeat.beat()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), job.spec.archive.interval_seconds)

    name = f"{job.spec.folder}-archiver"
    service = ServiceSettings(service_name=name, http_port=job.spec.archive.http_port)
    working = asyncio.create_task(work())
    try:
        await serve(worker_app(name, readiness, registry, heartbeat), service, readiness, stop)
    finally:
        stop.set()
        await working
