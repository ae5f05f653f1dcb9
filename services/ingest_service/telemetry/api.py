"""The routes under /api/v1/telemetry as the OpenAPI document describes them.

They are answered in endpoints.py, before the framework sees a request; for the methods that they
lack the framework answers.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query
from pydantic import BaseModel, Field

from services.contracts.scopes import TELEMETRY_READ, TELEMETRY_WRITE
from services.contracts.telemetry import DeviceId, Metric
from services.ingest_service.telemetry.endpoints import PATH
from services.ingest_service.telemetry.points import Moment, Point
from services.ingest_service.telemetry.queries import RowsQuery
from services.ingest_service.telemetry.settings import PointSettings
from services.shared.http import openapi as shared
from services.shared.http.gate import needs

_REASONS = {
    400: "The body cannot be read",
    413: "The body is too large",
    415: "The body is declared neither as JSON nor as JSON lines",
    422: "A point, or a parameter, is refused; `errors` names each",
    500: "An error of ours; report its correlation_id",
    503: "Nothing can be taken, or read, at the moment; Retry-After says when to try again",
}


class Accepted(BaseModel):
    """How many points were accepted: all that came."""

    accepted: int


class Rollup(BaseModel):
    """What a window of a device's points amounts to."""

    device_id: DeviceId
    metric: Metric
    window_start: Moment = Field(description="The window's first moment.")
    window_seconds: int = Field(description="Its length; windows begin at multiples of it.")
    points: int = Field(description="How many it has.")
    minimum: float
    maximum: float
    mean: float
    p50: float = Field(description="The median.")
    p95: float = Field(description="Interpolated between the two nearest values, linearly.")
    anomaly_score: float = Field(
        description="How far the strangest value is from the median: the largest modified z-score"
        " (Iglewicz and Hoaglin). Above 3.5 it is worth a look."
    )


_Cursor = Annotated[
    str | None, Field(description="Where the next page begins; null on the last one.")
]


class PointsPage(BaseModel):
    """Fewer than were asked for do not mean that these are the last."""

    items: list[Point]
    next_cursor: _Cursor


class RollupsPage(BaseModel):
    """Fewer than were asked for do not mean that these are the last."""

    items: list[Rollup]
    next_cursor: _Cursor


router = APIRouter(prefix=PATH, tags=["telemetry"])


@router.post(
    "",
    status_code=202,
    dependencies=[needs(TELEMETRY_WRITE)],
    responses=shared.problems(_REASONS, 400, 413, 415, 422),
)
async def accept() -> Accepted:
    """Accept points, all or none.

    With the 202 all in-sync replicas of Kafka have them, and they come into the database in a
    while. Of two points of one device, metric and time the one that was accepted last stays; within
    a request, that is the later one. So after a 503 with outcome-unknown, or no answer at all,
    sending the same points again is safe. Any other 503 says that nothing was accepted.
    """
    raise NotImplementedError


@router.get("", dependencies=[needs(TELEMETRY_READ)], responses=shared.problems(_REASONS, 422))
async def list_points(query: Annotated[RowsQuery, Query()]) -> PointsPage:
    """Points of a device that are in the database, by metric, then by time.

    What was accepted a moment ago may be missing. While the read-only copies are away this is 503:
    who can do without them asks with consistency=strong, which is for who has just written.
    """
    raise NotImplementedError


@router.get(
    "/rollups", dependencies=[needs(TELEMETRY_READ)], responses=shared.problems(_REASONS, 422)
)
async def list_rollups(query: Annotated[RowsQuery, Query()]) -> RollupsPage:
    """What windows of a device's points amount to, by metric, then by time.

    `from` and `to` hold for the windows' first moments. A window is here when it is over, and so
    is the time that is left for points that are late.
    """
    raise NotImplementedError


def complete(app: FastAPI, settings: PointSettings) -> None:
    """Add the body of the POST, which the route reads by itself, and the schemas."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document["paths"][PATH]["post"]["requestBody"] = _body(settings.most)
        shared.describe_problems(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _body(most: int) -> dict[str, Any]:
    point = {"$ref": "#/components/schemas/Point"}
    batch = {
        "type": "object",
        "properties": {
            "points": {"type": "array", "items": point, "minItems": 1, "maxItems": most}
        },
        "required": ["points"],
        "additionalProperties": False,
    }
    lines = {
        "type": "string",
        "description": f"A point on each line, 1 to {most}.",
    }
    return {
        "required": True,
        "content": {
            "application/json": {"schema": {"oneOf": [point, batch]}},
            "application/x-ndjson": {"schema": lines},
        },
    }
