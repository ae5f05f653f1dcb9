"""What the routes under /api/v1/telemetry do: called past the framework, which describes them
(api.py)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, cast

from pydantic_core import to_json

from services.ingest_service.telemetry.cursors import encode
from services.ingest_service.telemetry.faults import Examiner
from services.ingest_service.telemetry.points import Bodies, MediaType, NotGoodError, Point
from services.ingest_service.telemetry.queries import RowsQuery
from services.ingest_service.telemetry.sending import AwayError, FullError
from services.ingest_service.telemetry.service import Telemetry
from services.ingest_service.telemetry.settings import PointSettings
from services.ingest_service.telemetry.store import (
    POINTS,
    ROLLUPS,
    NotReadableError,
    Table,
)
from services.shared.http import problem
from services.shared.http.direct import Call, DirectRoutes, Reply
from services.shared.http.problem import ProblemError
from services.shared.http.queries import read_query
from services.shared.mysql.connections import Row
from services.shared.runtime.logging import get_logger
from services.shared.runtime.trouble import Trouble

log = get_logger(__name__)

PATH: Final = "/api/v1/telemetry"
ROLLUPS_PATH: Final = f"{PATH}/rollups"
MEDIA_TYPES: Final[Sequence[MediaType]] = ("application/json", "application/x-ndjson")
_RETRY_SECONDS: Final = 2


class TelemetryEndpoints:
    """Raise what the service raises, and ProblemError."""

    def __init__(self, service: Telemetry, settings: PointSettings) -> None:
        self._service = service
        self._bodies = Bodies(settings)
        self._examiner = Examiner(settings, self._bodies)
        self._trouble = Trouble()

    def answer_directly(self, direct: DirectRoutes) -> None:
        """Have the routes answered past the framework."""
        direct.add("POST", PATH, self.accept, self.explain)
        direct.add("GET", PATH, self.points, self.explain)
        direct.add("GET", ROLLUPS_PATH, self.rollups, self.explain)

    async def accept(self, call: Call) -> Reply:
        """POST: points in, their number out when all in-sync replicas have them."""
        points = self._given(call)
        await self._service.accept(points, call.traceparent, call.correlation_id)
        return Reply(202, b'{"accepted":%d}' % len(points))

    async def points(self, call: Call) -> Reply:
        """GET: a page of points."""
        return await self._page(call, POINTS)

    async def rollups(self, call: Call) -> Reply:
        """GET: a page of rollups."""
        return await self._page(call, ROLLUPS)

    def _given(self, call: Call) -> Sequence[Point]:
        media_type = _media_type(call)
        try:
            return self._bodies.read(call.body, media_type)
        except NotGoodError:
            try:
                return self._examiner.examine(call.body, media_type)
            except ProblemError:
                self._service.note_invalid()
                raise

    async def _page(self, call: Call, table: Table) -> Reply:
        asked = read_query(RowsQuery, call.scope).asked()
        rows, last = await self._service.page(table, asked)
        cursor = None if last is None else encode(last)
        return Reply(200, to_json({"items": [_shown(row) for row in rows], "next_cursor": cursor}))

    def explain(self, error: Exception) -> ProblemError | None:
        """Which problem an error means; None: it is a mistake of ours."""
        match error:
            case NotReadableError():
                if self._trouble.worth_logging(error.what):
                    log.warning("telemetry_not_readable", what=error.what, error=str(error))
                return problem.unavailable(error.what, _RETRY_SECONDS)
            case FullError():
                return _refused(
                    "full", "too many points wait for Kafka; nothing was accepted, try again"
                )
            case AwayError(uncertain=True):
                return _refused(
                    "outcome-unknown",
                    "Kafka did not acknowledge all points in time: some may have been accepted, or"
                    " all. Send them again, which is safe: of two points of one device, metric and"
                    " time the one that was accepted last stays",
                )
            case AwayError():
                return _refused(
                    "unavailable",
                    "Kafka cannot be reached, or does not let this service in; nothing was"
                    " accepted, try again",
                )
        return None


def _refused(kind: str, detail: str) -> ProblemError:
    headers = {"Retry-After": str(_RETRY_SECONDS)}
    return ProblemError(503, kind, f"{detail} after {_RETRY_SECONDS} s", headers=headers)


def _media_type(call: Call) -> MediaType:
    given = call.fields.get(b"content-type", b"").decode("latin-1")
    media_type = given.partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise ProblemError(
            415,
            "not-json",
            "the body must be JSON, or JSON lines; send Content-Type: application/json or"
            " application/x-ndjson",
        )
    return cast(MediaType, media_type)


def _shown(row: Row) -> Row:
    """Times as RFC 3339 has them, UTC, to the microsecond."""
    return {
        name: f"{value.isoformat(timespec='microseconds')}Z"
        if isinstance(value, datetime)
        else value
        for name, value in row.items()
    }
