"""What a client asks for when it reads points or rollups."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from services.contracts.telemetry import EARLIEST, LATEST, DeviceId, Metric
from services.ingest_service.telemetry import cursors
from services.ingest_service.telemetry.points import TIME
from services.ingest_service.telemetry.store import Asked, Consistency
from services.shared.http.problem import FieldError, ProblemError

_Time = Annotated[str | None, WithJsonSchema({"type": "string", "format": "date-time"})]


class RowsQuery(BaseModel):
    """Keyset pagination: a page costs the same wherever it lies."""

    model_config = ConfigDict(extra="forbid")

    device_id: DeviceId = Field(description="One that never sent anything has an empty page.")
    metric: Metric | None = Field(default=None, description="Left out: all metrics")
    begin: _Time = Field(
        default=None,
        alias="from",
        description="The first moment, RFC 3339 with an offset; a + in a URL is written %2B.",
    )
    end: _Time = Field(default=None, alias="to", description="The moment behind the last.")
    limit: int = Field(default=50, ge=1, le=200, description="Most rows on the page")
    cursor: Annotated[
        str | None, WithJsonSchema({"type": "string", "pattern": cursors.PATTERN})
    ] = Field(default=None, description="next_cursor of the page before; no other is accepted")
    consistency: Consistency = Field(
        default="eventual",
        description="eventual: from the database's read-only copies, which are a moment behind."
        " strong: from its source, with all that is committed.",
    )

    def asked(self) -> Asked:
        """Raises ProblemError."""
        begin = _moment("from", self.begin, EARLIEST)
        end = _moment("to", self.end, LATEST)
        if begin > end:
            raise _refused("bad-range", "from", "is after to; exchange them")
        return Asked(
            self.device_id,
            self.metric,
            begin,
            end,
            None if self.cursor is None else cursors.decode(self.cursor),
            self.limit,
            self.consistency,
        )


def _moment(name: str, given: str | None, default: datetime) -> datetime:
    """Within what the columns hold, where it makes no difference."""
    if given is None:
        return default
    try:
        if not re.fullmatch(TIME, given):
            raise ValueError
        moment = datetime.fromisoformat(given.upper())
        return min(max(moment, EARLIEST), LATEST).astimezone(UTC)
    except ValueError:
        reason = (
            "must be a time as RFC 3339 has it, with an offset: 2026-11-22T21:00:00Z (a + in a URL"
            " is written %2B)"
        )
        raise _refused("bad-time", name, reason) from None


def _refused(kind: str, name: str, reason: str) -> ProblemError:
    error = FieldError(field=f"query.{name}", reason=reason)
    return ProblemError(422, kind, f"{name} {reason}", errors=[error])
