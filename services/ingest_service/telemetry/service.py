"""What can be done with points."""

from __future__ import annotations

from collections.abc import Sequence

from services.contracts.topics import TELEMETRY_POINTS
from services.ingest_service.telemetry import messages
from services.ingest_service.telemetry.cursors import Position
from services.ingest_service.telemetry.metrics import TelemetryMetrics
from services.ingest_service.telemetry.points import Point
from services.ingest_service.telemetry.sending import Sender
from services.ingest_service.telemetry.store import Asked, Store, Table
from services.ingest_service.telemetry.versions import Versions
from services.shared.mysql.connections import Row
from services.shared.tracing import spans


class Telemetry:
    """Raises what its parts raise."""

    def __init__(self, sender: Sender, store: Store, metrics: TelemetryMetrics) -> None:
        self._versions = Versions()
        self._sender = sender
        self._store = store
        self._invalid = metrics.refused.labels("invalid")

    async def accept(self, points: Sequence[Point], traceparent: str, correlation_id: str) -> None:
        """Return when all in-sync replicas have them. Raises FullError or AwayError."""
        made = messages.messages(points, self._versions.take(len(points)))
        with spans.sending("kafka", TELEMETRY_POINTS, len(points)) as span:
            headers = messages.headers(spans.passed_on(span, traceparent), correlation_id)
            await self._sender.send(made, headers)

    def note_invalid(self) -> None:
        """A request's points were refused for what they are."""
        self._invalid.inc()

    async def page(self, table: Table, asked: Asked) -> tuple[Sequence[Row], Position | None]:
        """Rows, and the place behind which more may follow. Raises NotReadableError."""
        return await self._store.page(table, asked)
