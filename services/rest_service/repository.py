"""Resources in PostgreSQL, every write together with its outbox event in ONE statement.

Why in one is said where the statement is made (services/shared/outbox/events.py). A creation with
an idempotency key is remembered in it, too, so that it is either done and known or neither. A
second one with that key, in whatever process, waits at the key's index for the first and gets what
that one stored.
"""

from __future__ import annotations

import asyncpg

from services.contracts.ids import new_id
from services.contracts.topics import RESOURCE_CREATED, RESOURCE_DELETED, RESOURCE_UPDATED
from services.rest_service.models import Resource, ResourceInput
from services.shared.outbox.events import Origin, Outbox, with_event
from services.shared.postgres.database import Database

_COLUMNS = "id, name, description, status, version, created_at, updated_at"

# RFC 3339 with microseconds, as the API writes times too.
_TIME = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
_FULL_PAYLOAD = f"""jsonb_build_object(
    'id', r.id, 'name', r.name, 'description', r.description, 'status', r.status,
    'created_at', {_TIME.format("r.created_at")}, 'updated_at', {_TIME.format("r.updated_at")})"""


_CHANGED = """r.*, EXISTS (SELECT 1 FROM resources WHERE id = $1) AS existed
        FROM (SELECT 1) AS one LEFT JOIN r ON true"""

_CREATE = with_event(
    f"""INSERT INTO resources ({_COLUMNS}) VALUES ($1, $7, $8, $9, 1, now(), now())
        RETURNING {_COLUMNS}""",  # noqa: S608
    RESOURCE_CREATED,
    _FULL_PAYLOAD,
    _CHANGED,
)
# DO UPDATE, although nothing changes: only so does the statement see a row that was committed after
# it began. Version 1 is what a creation answers, whatever became of the resource.
_CREATE_ONCE = with_event(
    f"""INSERT INTO resources ({_COLUMNS})
        SELECT resource_id, name, description, status, 1, created_at, created_at
        FROM k WHERE resource_id = $1
        RETURNING {_COLUMNS}""",  # noqa: S608
    RESOURCE_CREATED,
    _FULL_PAYLOAD,
    """k.resource_id AS id, k.name, k.description, k.status, 1 AS version, k.created_at,
               k.created_at AS updated_at, r.id IS NULL AS existed
        FROM k LEFT JOIN r ON true""",
    before="""k AS (
            INSERT INTO idempotency_keys (key, resource_id, name, description, status, created_at)
            VALUES ($10, $1, $7, $8, $9, now())
            ON CONFLICT (key) DO UPDATE SET key = excluded.key
            RETURNING resource_id, name, description, status, created_at
        ),""",
)
# clock_timestamp(): now() is when the statement began, which may be before the writer it waited
# for; updated_at must not go back.
_UPDATE = with_event(
    f"""UPDATE resources SET name = $7, description = $8, status = $9, version = version + 1,
               updated_at = clock_timestamp()
        WHERE id = $1 AND ($10::bigint IS NULL OR version = $10)
        RETURNING {_COLUMNS}""",  # noqa: S608
    RESOURCE_UPDATED,
    _FULL_PAYLOAD,
    _CHANGED,
)
_DELETE = with_event(
    """DELETE FROM resources WHERE id = $1 AND ($7::bigint IS NULL OR version = $7)
       RETURNING id, version + 1 AS version""",
    RESOURCE_DELETED,
    "jsonb_build_object('id', r.id, 'status', 'deleted')",
    _CHANGED,
)
_GET = f"SELECT {_COLUMNS} FROM resources WHERE id = $1"  # noqa: S608
_LIST = f"""SELECT {_COLUMNS} FROM resources
            WHERE id < $1 ORDER BY id DESC LIMIT $2"""  # noqa: S608
# Ids are lower-case UUIDs compared by bytes. A bound rather than "$1 IS NULL OR": with that, the
# generic plan of a prepared statement reads the index from its end instead of from $1.
_PAST_ALL_IDS = "g"


class NotFoundError(Exception):
    """No resource has this id."""


class VersionMismatchError(Exception):
    """The resource is there, but not in the version that the caller saw."""


class KeyReusedError(Exception):
    """The idempotency key belongs to a creation with other content."""


class ResourceRepository:
    """Every method raises DatabaseUnavailableError when the database is away."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def create(
        self, given: ResourceInput, origin: Origin, key: str | None = None
    ) -> Resource:
        """Store a new resource, version 1, and its resource.created event.

        With the `key` of an earlier creation: what that one returned, and nothing is stored.
        Raises KeyReusedError when that one was given something else.
        """
        values = (given.name, given.description, given.status)
        if key is None:
            return _resource(await self._outbox.write(_CREATE, new_id(), origin, *values))
        created = _resource(await self._outbox.write(_CREATE_ONCE, new_id(), origin, *values, key))
        if (created.name, created.description, created.status) != values:
            raise KeyReusedError
        return created

    async def update(
        self, resource_id: str, given: ResourceInput, origin: Origin, expected: int | None
    ) -> Resource:
        """Replace a resource, and write its resource.updated event.

        `expected` is the version it must have, None for any.
        Raises NotFoundError or VersionMismatchError, having changed nothing.
        """
        row = await self._outbox.write(
            _UPDATE, resource_id, origin, given.name, given.description, given.status, expected
        )
        _require(row, expected)
        return _resource(row)

    async def delete(self, resource_id: str, origin: Origin, expected: int | None) -> int:
        """Remove a resource, write its resource.deleted event, and return that event's version.

        Raises NotFoundError or VersionMismatchError, having changed nothing.
        """
        row = await self._outbox.write(_DELETE, resource_id, origin, expected)
        _require(row, expected)
        return row["version"]

    async def get(self, resource_id: str) -> Resource:
        """Raises NotFoundError."""
        row = await self._database.fetchrow(_GET, resource_id)
        if row is None:
            raise NotFoundError
        return _resource(row)

    async def list(self, before: str | None, limit: int) -> list[Resource]:
        """At most `limit` resources, newest first, with ids smaller than `before`."""
        rows = await self._database.fetch(_LIST, before or _PAST_ALL_IDS, limit)
        return [_resource(row) for row in rows]


def _require(row: asyncpg.Record, expected: int | None) -> None:
    if row["id"] is None:
        # Without an expected version only a delete that got in between explains `existed`.
        raise VersionMismatchError if row["existed"] and expected is not None else NotFoundError


def _resource(row: asyncpg.Record) -> Resource:
    return Resource.model_validate({k: v for k, v in row.items() if k != "existed"})
