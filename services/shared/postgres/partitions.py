"""Day partitions of a table keyed by UUIDv7: boundaries, create ahead, drop old.

A UUIDv7 begins with 48 bits of Unix milliseconds (RFC 9562), so a range of ids is a range of
time, and a primary key on the id alone stays unique over the whole partitioned table. Rows
without a partition land in the DEFAULT partition and are moved when theirs is created.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,40}")
_NAME = re.compile(r"(?P<table>[a-z_][a-z0-9_]*)_(?P<day>\d{8})")

# A partition is created or dropped in milliseconds; waiting longer for a lock would hold up
# every writer that queues behind us. The next round of upkeep tries again.
LOCK_TIMEOUT = "2s"
# A drop holds up readers too while it waits, and it is never urgent.
DROP_LOCK_TIMEOUT = "500ms"
# A default partition that filled up for hours takes its time to be emptied. Seconds.
CREATE_TIMEOUT = 25.0

# A busy table whose rows live for days: vacuum by a fixed count of rows, not by a share of them.
AUTOVACUUM = (
    "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,"
    " autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000,"
    " autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 2000"
)


class Transactional(Protocol):
    """The part of an asyncpg connection that upkeep needs."""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str: ...  # noqa: ASYNC109
    async def fetch(self, query: str, *args: Any) -> list[Any]: ...
    async def fetchval(self, query: str, *args: Any) -> Any: ...
    def transaction(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class PartitionedTable:
    """A table with `id` as its partition key, uuid or text.

    keep: SQL condition on rows that must never be dropped, however old; None drops by age alone.
    """

    name: str
    keep: str | None = None
    storage: str = AUTOVACUUM

    def __post_init__(self) -> None:
        if not _IDENTIFIER.fullmatch(self.name):
            raise ValueError(f"table name {self.name!r}: use lower-case letters, digits and _")

    @property
    def default(self) -> str:
        """The name of the DEFAULT partition."""
        return f"{self.name}_default"

    def partition(self, day: date) -> str:
        """The name of a day's partition, TABLE_YYYYMMDD."""
        return f"{self.name}_{day:%Y%m%d}"

    def day_of(self, partition: str) -> date | None:
        """The day a partition holds; None for the default partition and for strangers."""
        match = _NAME.fullmatch(partition)
        if match is None or match["table"] != self.name:
            return None
        try:
            return datetime.strptime(match["day"], "%Y%m%d").replace(tzinfo=UTC).date()
        except ValueError:
            return None


def lower_bound(day: date) -> str:
    """The smallest UUIDv7 of a UTC day: 48 bits of milliseconds, then version and variant."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    digits = f"{int(start.timestamp()) * 1000:012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"


def id_time(event_id: str) -> datetime:
    """The moment (UTC) in a UUIDv7."""
    return datetime.fromtimestamp(int(event_id.replace("-", "")[:12], 16) / 1000, tz=UTC)


def bounds(day: date) -> tuple[str, str]:
    """The ids of a UTC day, lower bound inclusive, upper exclusive."""
    return lower_bound(day), lower_bound(day + timedelta(days=1))


def create_statements(table: PartitionedTable, day: date) -> list[str]:
    """SQL that creates a day's partition; run all in one transaction, once.

    LIKE plus ATTACH works although the default partition already holds rows of that day, which
    CREATE … PARTITION OF does not. Writers wait meanwhile: a row of that day that they put into
    the default partition after the move would fail the attachment. They lock the table before its
    partitions, and so do we. Readers wait only where they meet the default partition.
    Identity columns belong to the parent and indexes come with the attachment.
    """
    low, high = bounds(day)
    name = table.partition(day)
    # Only validated identifiers and hexadecimal bounds are put into these statements.
    return [
        f"CREATE TABLE {name} (LIKE {table.name} INCLUDING DEFAULTS INCLUDING CONSTRAINTS"
        f" INCLUDING STORAGE) WITH ({table.storage})",
        f"LOCK TABLE ONLY {table.name} IN SHARE ROW EXCLUSIVE MODE",
        f"LOCK TABLE {table.default} IN ACCESS EXCLUSIVE MODE",
        f"WITH moved AS (DELETE FROM {table.default} WHERE id >= '{low}' AND id < '{high}'"  # noqa: S608
        f" RETURNING *) INSERT INTO {name} SELECT * FROM moved",
        f"ALTER TABLE {table.name} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')",
    ]


async def server_day(connection: Transactional) -> date:
    """The UTC day by the server's clock.

    What is created and dropped must not hang on a pod's: one that runs a month ahead would drop
    the partition that everybody writes to.
    """
    return await connection.fetchval("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date")


async def partitions_of(connection: Transactional, table: PartitionedTable) -> list[str]:
    """The names of the table's partitions, sorted, the default one included."""
    rows = await connection.fetch(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = $1::text::regclass ORDER BY c.relname",
        table.name,
    )
    return [row["relname"] for row in rows]


async def create_ahead(
    connection: Transactional, table: PartitionedTable, today: date, days: int
) -> list[str]:
    """Create the missing partitions of today and the `days` after it; return their names.

    Every partition is a transaction of its own. Safe to run from several processes at once.
    """
    created: list[str] = []
    for offset in range(days + 1):
        day = today + timedelta(days=offset)
        name = table.partition(day)
        async with connection.transaction():
            await _begin(connection, table)
            if name in await partitions_of(connection, table):
                continue
            # One message: the locks are held over as few round trips as can be.
            statements = "; ".join(create_statements(table, day))
            await connection.execute(statements, timeout=CREATE_TIMEOUT)
            created.append(name)
    return created


async def drop_old(
    connection: Transactional, table: PartitionedTable, today: date, retention_days: int
) -> tuple[list[str], list[str]]:
    """Drop the partitions whose whole day lies more than `retention_days` back.

    Returns the dropped partitions and the ones kept because a row matched table.keep. Old rows of
    the default partition are deleted by the same rule.
    """
    oldest = today - timedelta(days=retention_days)
    dropped: list[str] = []
    kept: list[str] = []
    for name in await partitions_of(connection, table):
        day = table.day_of(name)
        if day is None or day >= oldest:
            continue
        # Asked without a lock first: what stays for long must not stop everybody in every round.
        if await _must_stay(connection, table, day):
            kept.append(name)
            continue
        async with connection.transaction():
            await _begin(connection, table)
            if name not in await partitions_of(connection, table):
                continue
            # The table before its partition, as every other statement does: the other way round
            # ends in deadlocks. Asked again under the locks: nothing slips in between.
            await connection.execute(f"SET LOCAL lock_timeout = '{DROP_LOCK_TIMEOUT}'")
            await connection.execute(f"LOCK TABLE ONLY {table.name} IN ACCESS EXCLUSIVE MODE")
            await connection.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
            if await _must_stay(connection, table, day):
                kept.append(name)
                continue
            await connection.execute(f"ALTER TABLE {table.name} DETACH PARTITION {name}")
            await connection.execute(f"DROP TABLE {name}")
            dropped.append(name)
    condition = f" AND NOT ({table.keep})" if table.keep else ""
    await connection.execute(
        f"DELETE FROM {table.default} WHERE id < '{lower_bound(oldest)}'{condition}"  # noqa: S608
    )
    return dropped, kept


async def _must_stay(connection: Transactional, table: PartitionedTable, day: date) -> bool:
    """Whether a row of `day` matches table.keep."""
    if table.keep is None:
        return False
    low, high = bounds(day)
    # By way of the table: another process may have dropped the partition meanwhile.
    return await connection.fetchval(
        f"SELECT EXISTS (SELECT 1 FROM {table.name} WHERE id >= '{low}' AND id < '{high}'"  # noqa: S608
        f" AND ({table.keep}))"
    )


async def _begin(connection: Transactional, table: PartitionedTable) -> None:
    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    # One process at a time; the others then find the work done.
    await connection.fetchval("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", table.name)
