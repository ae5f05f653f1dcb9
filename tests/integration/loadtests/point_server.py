"""A server of points that knows what it was asked, for load that has to be accounted for."""

import json
from typing import Any
from urllib.parse import parse_qs, urlparse

from loadtests.telemetry.client import GET, NDJSON, POST, ROLLUPS, ROLLUPS_PATH, Point, key_of
from tests.integration.loadtests.answering import CountingServer, Handler


class PointServer(CountingServer):
    """Keeps the newest point of each key. ``inventive``: values it gives back are higher."""

    def __init__(self, inventive: bool = False) -> None:
        super().__init__(_Handler)
        self.inventive = inventive
        self.points: dict[str, Any] = {}

    def __enter__(self) -> "PointServer":
        super().__enter__()
        return self

    @property
    def held(self) -> dict[str, float]:
        """As the table would hold them."""
        return {key: point["value"] for key, point in self.points.items()}

    def of(self, device: str, most: int) -> list[Any]:
        with self.lock:
            found = [point for point in self.points.values() if point["device_id"] == device]
        found.sort(key=lambda point: (point["metric"], point["ts"]))
        more = 1_000_000 if self.inventive else 0
        return [point | {"value": point["value"] + more} for point in found[:most]]


class _Handler(Handler):
    server: PointServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def post(self) -> None:
        body = self.body()
        lines = self.headers["content-type"] == NDJSON
        given = (
            [json.loads(it) for it in body.splitlines()] if lines else json.loads(body)["points"]
        )
        with self.server.lock:
            self.server.asked[POST] += 1
            for point in given:
                self.server.points[key_of(Point.model_validate(point))] = point
        self.answer(202, {"accepted": len(given)})

    def get(self) -> None:
        asked = urlparse(self.path)
        rollups = asked.path == ROLLUPS_PATH
        self.server.note(ROLLUPS if rollups else GET)
        query = parse_qs(asked.query)
        found = [] if rollups else self.server.of(query["device_id"][0], int(query["limit"][0]))
        self.answer(200, {"items": found, "next_cursor": None})
