"""The points that the body of a request brings: all of them, or what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from services.contracts.telemetry import EARLIEST, LATEST, DeviceId, Metric, Value
from services.ingest_service.telemetry.settings import PointSettings

MediaType = Literal["application/json", "application/x-ndjson"]

TIME: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,12})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)
"""RFC 3339, section 5.6. Which days and hours there are is looked at when it is read."""
_BATCH: Final = re.compile(rb'\s*\{\s*"points"\s*:')
_OF_A_POINT: Final = {b'"': 14, b"{": 1, b"[": 1, b"\n": 8}
"""Most characters of what takes long to read and to refuse: names and texts, objects, arrays,
lines. What is right has no others within its texts."""


class _AsWritten:
    """Only what is written as TIME is read as a time: seconds since 1970 in quotes are not."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        text = core_schema.str_schema(pattern=TIME, strict=True)
        return core_schema.chain_schema([text, handler(source)])


Moment = Annotated[
    AwareDatetime,
    Field(ge=EARLIEST, lt=LATEST),
    _AsWritten(),
    WithJsonSchema({"type": "string", "format": "date-time"}),
    Field(description="When it was measured: RFC 3339 with an offset, kept to the microsecond."),
]


class Point(BaseModel):
    """What a device measured."""

    model_config = ConfigDict(extra="forbid")

    device_id: DeviceId
    metric: Metric
    ts: Moment
    value: Value


class NotGoodError(Exception):
    """Some point of a body is not, or there are too many; a closer look says which, and why."""


class Bodies:
    """Reads bodies of requests; one that is not good in every part is not taken at all."""

    def __init__(self, settings: PointSettings) -> None:
        self._most = settings.most
        self._ahead = timedelta(seconds=settings.future_seconds)
        batch: Any = Annotated[
            list[Point],
            # The first fault ends it: a megabyte of nonsense has some hundred thousand.
            Field(min_length=1, max_length=settings.most, fail_fast=True),
        ]
        self._batch: TypeAdapter[dict[str, list[Point]]] = TypeAdapter(
            dict[Literal["points"], batch]  # type: ignore[valid-type]
        )
        self._one = TypeAdapter(Point)

    def read(self, body: bytes, media_type: MediaType) -> Sequence[Point]:
        """The points, in their order. Raises NotGoodError."""
        try:
            points = self._read(body, media_type)
        except ValidationError:
            raise NotGoodError from None
        latest = self.latest()
        for point in points:
            if point.ts > latest:
                raise NotGoodError
        return points

    def _read(self, body: bytes, media_type: MediaType) -> Sequence[Point]:
        if is_beyond(body, self._most + 1):
            raise NotGoodError
        if media_type == "application/x-ndjson":
            given = lines(body)
            if not 1 <= len(given) <= self._most:
                raise NotGoodError
            read = self._one.validate_json
            # Each for itself: put together as one array, `1],[2` would be two good lines.
            return [read(line) for _, line in given]
        if _BATCH.match(body):
            return self._batch.validate_json(body)["points"]
        return [self._one.validate_json(body)]

    def one(self, body: bytes) -> Point:
        """A single point, whatever its time. Raises ValidationError."""
        return self._one.validate_json(body)

    def latest(self) -> datetime:
        """The last moment that a point may be of, now."""
        return datetime.now(UTC) + self._ahead


def is_beyond(body: bytes, points: int) -> bool:
    """Whether so many points cannot be all there is in it. Nothing is parsed to find out."""
    return any(body.count(one) > most * points for one, most in _OF_A_POINT.items())


def lines(body: bytes) -> list[tuple[int, bytes]]:
    """Those of NDJSON that hold something, with their numbers, which begin at 1."""
    return [(n, line) for n, line in enumerate(body.split(b"\n"), 1) if line.strip()]
