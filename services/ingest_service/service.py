"""What can be done with documents."""

from __future__ import annotations

from collections.abc import Sequence

from services.ingest_service.admission import Gate
from services.ingest_service.gathering import Gatherer
from services.ingest_service.metrics import IngestMetrics
from services.ingest_service.pages import Pages
from services.ingest_service.reading import Reader
from services.shared.runtime.logging import get_logger
from services.shared.runtime.trouble import Trouble
from services.shared.stream.accept import Accepted, StreamFullError, StreamUnavailableError

log = get_logger(__name__)


class NotAdmittedError(Exception):
    """Nothing is let in at the moment; nothing was accepted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class IngestService:
    """Raises what its parts raise, and NotAdmittedError."""

    def __init__(
        self,
        gate: Gate,
        gatherer: Gatherer,
        reader: Reader,
        pages: Pages,
        metrics: IngestMetrics,
    ) -> None:
        self._gate = gate
        self._gatherer = gatherer
        self._reader = reader
        self._pages = pages
        self._metrics = metrics
        self._alarm = Trouble()

    def admit(self) -> None:
        """Return when documents are let in now. Raises NotAdmittedError."""
        reason = self._gate.closed_for
        if reason is not None:
            self._metrics.refused.labels(reason).inc()
            raise NotAdmittedError(reason)

    async def accept(self, documents: Sequence[Accepted]) -> None:
        """Return when they are durable, and readable everywhere.

        Raises StreamFullError or StreamUnavailableError.
        """
        try:
            await self._gatherer.accept(documents)
        except StreamFullError as error:
            self._metrics.refused.labels("fuse").inc()
            # The gate should have closed long before: somebody ought to look.
            if self._alarm.worth_logging("fuse"):
                log.error("stream_fuse_blown", reason=str(error))
            raise
        except StreamUnavailableError as error:
            self._metrics.refused.labels("unavailable").inc()
            if self._alarm.worth_logging("unavailable"):
                log.warning("stream_unavailable", reason=str(error))
            raise
        self._alarm.over()

    async def get(self, document_id: str) -> bytes | None:
        """The newest acknowledged document of the id, JSON; None when there is none."""
        return await self._reader.get(document_id)

    async def page(self, cursor: str | None, limit: int) -> bytes:
        """A page of what is in the database, JSON."""
        return await self._pages.get(cursor, limit)
