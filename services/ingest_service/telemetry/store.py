"""Points and rollups of a device in MySQL, read only: others write them.

A page costs what is on it, however much there is of the device: each statement reads a range of
the primary key, of one metric, and the metrics are found one after the other. One statement over
(metric, ts) would read all that lies between the rows asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from services.contracts.telemetry import LATEST
from services.ingest_service.telemetry.cursors import Position
from services.shared.mysql.connections import Row
from services.shared.mysql.database import Database
from services.shared.runtime.databases import DatabaseUnavailableError

Consistency = Literal["eventual", "strong"]
MOST_METRICS: Final = 50
"""That are looked through for one page: of a device that has none of the time asked for in many
metrics a page may be short, and the next one goes on."""


class NotReadableError(DatabaseUnavailableError):
    """`what` is away."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(reason)
        self.what = what


@dataclass(frozen=True, slots=True)
class Table:
    """Of a device's rows, in the order of their keys: metric, moment, and what `then` has."""

    name: str
    moment: str
    columns: tuple[str, ...]
    then: str | None = None

    def next_metric(self, hint: str) -> str:
        """The metric that follows; takes device and the one before."""
        # DISTINCT would do it in one statement, but reads all rows of the device when the server
        # takes that for cheaper; and what begins with WITH is no read to a proxy.
        return (
            f"SELECT {hint}metric FROM {self.name}"  # noqa: S608 - names of ours
            " WHERE device_id = %s AND metric > %s ORDER BY metric LIMIT 1"
        )

    def rows(self, hint: str, *, after: bool) -> str:
        """Rows of a metric; takes device, metric, first moment, the one behind the last, the place
        to start behind if `after`, and number."""
        order = self.moment if self.then is None else f"{self.moment}, {self.then}"
        start = ""
        if after:
            start = f"AND {self.moment} > %s "
            if self.then is not None:
                start = f"AND ({self.moment} > %s OR {self.moment} = %s AND {self.then} > %s) "
        return (
            f"SELECT {hint}{', '.join(self.columns)} FROM {self.name}"  # noqa: S608 - names of ours
            f" WHERE device_id = %s AND metric = %s AND {self.moment} >= %s"
            f" AND {self.moment} < %s {start}ORDER BY {order} LIMIT %s"
        )


POINTS: Final = Table("telemetry", "ts", ("device_id", "metric", "ts", "value"))
ROLLUPS: Final = Table(
    "telemetry_rollups",
    "window_start",
    (
        *("device_id", "metric", "window_start", "window_seconds", "points"),
        *("minimum", "maximum", "mean", "p50", "p95", "anomaly_score"),
    ),
    then="window_seconds",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows: of a device, and of a metric if one is named, from a moment up to another, which
    is not included, those behind a place."""

    device_id: str
    metric: str | None
    begin: datetime
    end: datetime
    after: Position | None
    limit: int
    consistency: Consistency


class Store:
    """Reads from the copies, or from the source where the newest row is asked for.

    Copies that are away are not made up for by the source: all reads at once would come to the one
    server that writes, when it may be what is left of the database.
    """

    def __init__(self, source: Database, readers: Database) -> None:
        self._source = source
        self._readers = readers

    async def page(self, table: Table, asked: Asked) -> tuple[Sequence[Row], Position | None]:
        """Rows, and the place of the last one looked at if more may follow.

        Raises NotReadableError.
        """
        strong = asked.consistency == "strong"
        database = self._source if strong else self._readers
        try:
            async with database.connection() as connection, connection.cursor() as cursor:
                return await _page(cursor, "/* writer */ " if strong else "", table, asked)
        except DatabaseUnavailableError as error:
            what = "the telemetry database"
            if not strong:
                what = "the read-only copies of the telemetry database"
            raise NotReadableError(what, str(error)) from error


async def _page(
    cursor: Any, hint: str, table: Table, asked: Asked
) -> tuple[list[Row], Position | None]:
    async def following(metric: str) -> str | None:
        await cursor.execute(table.next_metric(hint), (asked.device_id, metric))
        row = await cursor.fetchone()
        return None if row is None else row["metric"]

    after, metric = asked.after, asked.metric
    if metric is None:
        metric = await following("") if after is None else after.metric
    elif after is not None and metric < after.metric:
        metric = None  # the page before was of others
    rows: list[Row] = []
    end = after
    for _ in range(MOST_METRICS):
        if metric is None:
            return rows, None
        behind = after if after is not None and after.metric == metric else None
        # One more than fits says whether there are more.
        statement, given = _of_metric(table, hint, asked, metric, behind)
        await cursor.execute(statement, (*given, asked.limit + 1 - len(rows)))
        rows += await cursor.fetchall()
        if len(rows) > asked.limit:
            rows.pop()
            last = rows[-1]
            seconds = 0 if table.then is None else last[table.then]
            moment = last[table.moment].replace(tzinfo=UTC)
            return rows, Position(last["metric"], moment, seconds)
        end = Position(metric, LATEST)
        metric = None if asked.metric is not None else await following(metric)
    return rows, None if metric is None else end


def _of_metric(
    table: Table, hint: str, asked: Asked, metric: str, behind: Position | None
) -> tuple[str, tuple[object, ...]]:
    """The statement for rows of a metric, and what it takes but for their number."""
    begin = asked.begin
    place: tuple[object, ...] = ()
    if behind is not None:
        begin, moment = max(begin, behind.moment), _naive(behind.moment)
        place = (moment,) if table.then is None else (moment, moment, behind.seconds)
    bounds = _naive(begin), _naive(asked.end)
    statement = table.rows(hint, after=behind is not None)
    return statement, (asked.device_id, metric, *bounds, *place)


def _naive(moment: datetime) -> datetime:
    """As the columns have it: UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)
