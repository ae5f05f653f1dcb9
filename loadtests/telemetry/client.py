"""A typed client for points and rollups; what carries its requests is the caller's choice."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict

from loadtests.exchange import JSON, Reply, Request, RequestFailed, Transport, expect, parse

ENTRY: Final = "data"
"""Of the stack: whose port answers."""
PATH: Final = "/api/v1/telemetry"
ROLLUPS_PATH: Final = f"{PATH}/rollups"
POST: Final = f"POST {PATH}"
GET: Final = f"GET {PATH}"
ROLLUPS: Final = f"GET {ROLLUPS_PATH}"
"""What statistics call the requests."""
NDJSON: Final = "application/x-ndjson"
MOST_POINTS: Final = 500
"""In one request."""

Key = tuple[str, datetime]
"""Of a device's points: metric and time."""
Consistency = Literal["eventual", "strong"]


class Point(BaseModel):
    """What a device measured. Device, metric and time are its key; a later one replaces it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device_id: str
    metric: str
    ts: datetime
    """With an offset."""
    value: float

    @property
    def key(self) -> Key:
        """Of this device."""
        return self.metric, self.ts


def key_of(point: Point) -> str:
    """As the table's columns print, tabs between: device, metric, time in UTC."""
    ts = point.ts.astimezone(UTC)
    return f"{point.device_id}\t{point.metric}\t{ts:%Y-%m-%d %H:%M:%S.%f}"


class Rollup(BaseModel):
    """Of the points of a device and metric in one window."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device_id: str
    metric: str
    window_start: datetime
    window_seconds: int
    points: int
    minimum: float
    maximum: float
    mean: float
    p50: float
    p95: float
    anomaly_score: float


class _Accepted(BaseModel):
    accepted: int


class Page(BaseModel):
    """Points of one device, by metric and time."""

    items: list[Point]
    next_cursor: str | None


class RollupPage(BaseModel):
    """Rollups of one device."""

    items: list[Rollup]
    next_cursor: str | None


class Telemetry:
    """Sends points and reads them, each with one request."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def write(self, points: Sequence[Point], *, lines: bool = False) -> None:
        """Send points, all or none of which are accepted; ``lines``: one on each line.

        Of two with the same key the later one stays, within a request and from one to the next.

        Raises:
            RequestFailed: they were not accepted, or another number of them.
        """

        def judge(reply: Reply) -> None:
            expect(reply, 202)
            if parse(_Accepted, reply).accepted != len(points):
                raise RequestFailed("acknowledged another number of points than sent")

        texts = [point.model_dump_json() for point in points]
        if lines:
            body, content_type = "\n".join(texts), NDJSON
        else:
            body, content_type = f'{{"points": [{", ".join(texts)}]}}', JSON
        self._transport.exchange(Request(POST, "POST", PATH, body.encode(), content_type), judge)

    def page(
        self,
        device_id: str,
        metric: str | None = None,
        *,
        limit: int = 100,
        cursor: str | None = None,
        consistency: Consistency = "eventual",
        sent: Mapping[Key, float] | None = None,
    ) -> Page:
        """A page of a device's points that are stored.

        ``sent``: by key the highest value of all that ever were; nothing else may be there.

        Raises:
            RequestFailed: there was none, or one that is not what was asked for.
        """

        def judge(reply: Reply) -> Page:
            expect(reply, 200)
            found = parse(Page, reply)
            _same_device([point.device_id for point in found.items], device_id, limit)
            keys = [point.key for point in found.items]
            if keys != sorted(set(keys)):
                raise RequestFailed("points out of order, or one of them twice")
            known = found.items if sent is None else [it for it in found.items if _was(it, sent)]
            if known != found.items:
                raise RequestFailed("a point that was never sent")
            return found

        asked = {"metric": metric, "cursor": cursor, "consistency": consistency}
        return self._transport.exchange(_get(GET, PATH, device_id, limit, asked), judge)

    def rollups(
        self, device_id: str, *, limit: int = 100, consistency: Consistency = "eventual"
    ) -> RollupPage:
        """A page of a device's rollups.

        Raises:
            RequestFailed: as ``page``.
        """

        def judge(reply: Reply) -> RollupPage:
            expect(reply, 200)
            found = parse(RollupPage, reply)
            _same_device([rollup.device_id for rollup in found.items], device_id, limit)
            return found

        asked = {"consistency": consistency}
        return self._transport.exchange(_get(ROLLUPS, ROLLUPS_PATH, device_id, limit, asked), judge)


def _get(
    name: str, path: str, device_id: str, limit: int, asked: Mapping[str, str | None]
) -> Request:
    given = {key: text for key, text in asked.items() if text is not None}
    query = urlencode({"device_id": device_id, "limit": limit, **given})
    return Request(name, "GET", f"{path}?{query}")


def _was(point: Point, sent: Mapping[Key, float]) -> bool:
    return point.value <= sent.get(point.key, 0)


def _same_device(found: Sequence[str], asked: str, limit: int) -> None:
    if set(found) - {asked}:
        raise RequestFailed("another device than asked for")
    if len(found) > limit:
        raise RequestFailed("a page with more items than asked for")
