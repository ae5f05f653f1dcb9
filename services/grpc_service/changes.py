"""What has changed among tasks between two snapshots, in pages that end with a transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.grpc_service.cursors import Filters
from services.grpc_service.model import Task
from services.grpc_service.snapshots import Snapshot
from services.grpc_service.statements import COLUMNS
from services.grpc_service.store import to_task
from services.shared.postgres.database import Database

# A row that was restored from another server has a number that is yet to come on this one, and is
# in no snapshot: it is passed over, until it changes here.
_UNTIL = "coalesce($2::text::pg_snapshot, pg_current_snapshot())"
_SINCE = "$1::text::pg_snapshot"
_UNSEEN = f"pg_visible_in_snapshot(t.change, {_UNTIL})"
# The few that were running are looked up, the rest is read from where nothing had been seen, so a
# transaction that lasts for hours does not have all rows read since it began. Both in their order,
# and the look-up as if it were for more than one: so they are read off the index, whatever the
# planner has been told of the table.
_OF_ALL = f"""
    SELECT r.* FROM pg_snapshot_xip({_SINCE}) AS late, LATERAL (
        SELECT {COLUMNS} FROM tasks t WHERE t.change BETWEEN late AND late AND {_UNSEEN}
        ORDER BY t.change FETCH FIRST $3 ROWS WITH TIES) AS r
    UNION ALL
    (SELECT {COLUMNS} FROM tasks t
     WHERE t.change >= pg_snapshot_xmax({_SINCE}) AND {_UNSEEN}
     ORDER BY t.change FETCH FIRST $3 ROWS WITH TIES)"""  # noqa: S608
# Read off the index of their resource, whatever the order would suggest.
_OF_RESOURCE = f"""
    SELECT {COLUMNS} FROM tasks t
    WHERE t.resource_id = $6 AND NOT pg_visible_in_snapshot(t.change, {_SINCE}) AND {_UNSEEN}"""  # noqa: S608


def _page(unseen: str) -> str:
    """$1, $2: since when, and until when, null: now; $3: how many rows are looked at, or more, as
    the last transaction's are all among them; $4, $5: status and action, null: any. Of what is
    looked at those that match; one row at least, with what is true of all."""
    return f"""
WITH unseen AS MATERIALIZED ({unseen}),
page AS MATERIALIZED (SELECT * FROM unseen ORDER BY change FETCH FIRST $3 ROWS WITH TIES)
SELECT {_UNTIL}::text AS until, (SELECT count(*) FROM page) AS looked_at,
       (SELECT change FROM page ORDER BY change DESC LIMIT 1) AS last, r.*
FROM (SELECT 1) AS one LEFT JOIN (
    SELECT * FROM page
    WHERE ($4::text IS NULL OR status = $4) AND ($5::text IS NULL OR action = $5)
) AS r ON true
ORDER BY r.change, r.task_id"""  # noqa: S608


OF_ALL: Final = _page(_OF_ALL)
OF_RESOURCE: Final = _page(_OF_RESOURCE)
NOW: Final = "SELECT pg_current_snapshot()::text AS until"


@dataclass(frozen=True, slots=True)
class Heard:
    """A page: of what has changed until `reached` all that was asked for, in the order of the
    transactions. more: it does not reach as far as it might."""

    tasks: list[Task]
    reached: Snapshot
    more: bool


class Changes:
    """Every method raises DatabaseUnavailableError when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def now(self) -> Snapshot:
        """What can be seen now."""
        (row,) = await self._database.fetch(NOW)
        return Snapshot.parse(row["until"])

    async def between(
        self, since: Snapshot, until: Snapshot | None, filters: Filters, limit: int
    ) -> Heard:
        """The first of what `since` does not see and `until`, None: now, does.

        Each task is there once, as it is; one that has changed after `until` is not there. `limit`:
        how many are looked at, whether they match or not, and a few more where it falls within a
        transaction.
        """
        given = [str(since), until and str(until), limit, filters.status, filters.action]
        if filters.resource_id is None:
            rows = await self._database.fetch(OF_ALL, *given)
        else:
            rows = await self._database.fetch(OF_RESOURCE, *given, filters.resource_id)
        first = rows[0]
        tasks = [to_task(row) for row in rows if row["task_id"] is not None]
        until = Snapshot.parse(first["until"])
        more = first["looked_at"] >= limit
        return Heard(tasks, since.towards(until, first["last"]) if more else until, more)
