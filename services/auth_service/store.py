"""Clients, their secrets and revoked tokens in MySQL.

The account may read, insert and update, and not delete: a client is deactivated, a secret is
written over by the one after the next, and a revoked token by a later one once it has ended.
Every moment is the server's: one clock for all processes, whatever theirs do.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from pymysql import err
from pymysql.constants import ER

from services.auth_service.model import (
    ADMINISTRATOR,
    Client,
    ClientRecord,
    Secret,
    SecretRecord,
)
from services.shared.mysql.database import Database

_NOW: Final = "UTC_TIMESTAMP(6)"
_VALID: Final = f"(s.expires_at IS NULL OR s.expires_at > {_NOW})"
_CLIENT = f"""SELECT c.scope, s.secret_hash, s.fingerprint,
                     TIMESTAMPDIFF(MICROSECOND, {_NOW}, s.expires_at) AS microseconds
              FROM clients c LEFT JOIN client_secrets s ON s.client_id = c.client_id AND {_VALID}
              WHERE c.client_id = %s AND c.is_active"""  # noqa: S608
_STANDS = """SELECT NOT EXISTS (SELECT 1 FROM revoked_tokens WHERE jti = %s)
                    AND (%s OR EXISTS (SELECT 1 FROM clients WHERE client_id = %s AND is_active))
                    AS stands"""
_AGAIN = f"""UPDATE revoked_tokens SET jti = %s, client_id = %s, revoked_at = {_NOW},
                    expires_at = {_NOW} + INTERVAL %s SECOND
             WHERE expires_at < {_NOW} ORDER BY expires_at LIMIT 1"""  # noqa: S608
_REVOKE = f"""INSERT INTO revoked_tokens (jti, client_id, revoked_at, expires_at)
              VALUES (%s, %s, {_NOW}, {_NOW} + INTERVAL %s SECOND)"""  # noqa: S608
_KEPT_AFTER_END: Final = 86_400
"""Seconds: a clock that is set back makes a token valid again that had ended, but not revoked."""
_REGISTER = f"""INSERT INTO clients
                    (client_id, client_name, scope, is_active, created_at, updated_at)
                VALUES (%s, %s, %s, true, {_NOW}, {_NOW})"""  # noqa: S608
_PUT_SECRET = f"""INSERT INTO client_secrets
                      (client_id, slot, secret_hash, fingerprint, created_at, expires_at)
                  VALUES (%s, %s, %s, %s, {_NOW}, NULL) AS new
                  ON DUPLICATE KEY UPDATE secret_hash = new.secret_hash,
                      fingerprint = new.fingerprint, created_at = new.created_at,
                      expires_at = NULL"""  # noqa: S608
_END_SECRET = f"""UPDATE client_secrets SET expires_at = {_NOW} + INTERVAL %s SECOND
                  WHERE client_id = %s AND slot = %s"""  # noqa: S608
_SECRETS = f"""SELECT s.slot, s.created_at, s.expires_at FROM client_secrets s
               WHERE s.client_id = %s AND {_VALID}
               ORDER BY s.expires_at IS NULL DESC"""  # noqa: S608
_COLUMNS = "client_id, client_name, scope, is_active, created_at"
_GET = f"SELECT {_COLUMNS} FROM clients WHERE client_id = %s"  # noqa: S608
_LIST = f"""SELECT {_COLUMNS} FROM clients WHERE client_id < %s
            ORDER BY client_id DESC LIMIT %s"""  # noqa: S608
_LIST_BY_STATE = f"""SELECT {_COLUMNS} FROM clients WHERE is_active = %s AND client_id < %s
                     ORDER BY client_id DESC LIMIT %s"""  # noqa: S608
_LOCK = "SELECT is_active FROM clients WHERE client_id = %s FOR UPDATE"
_DEACTIVATE = f"""UPDATE clients SET is_active = false, updated_at = {_NOW}
                  WHERE client_id = %s"""  # noqa: S608
_PAST_ALL_IDS: Final = "g"

Replaced = Literal["oldest", "newest"]


class NoSuchClientError(Exception):
    """No client has this id, or it is not active where it must be."""


class OverlapError(Exception):
    """The client has two valid secrets already; the older ends at `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__()
        self.until = until


class ClientStore:
    """Every method raises DatabaseUnavailableError when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def client(self, client_id: str) -> Client | None:
        """An active client with the secrets that are valid now; None: there is none."""
        asked = time.monotonic()
        rows = await self._database.fetch(_CLIENT, client_id)
        if not rows:
            return None
        secrets = tuple(_secret(row, asked) for row in rows if row["secret_hash"] is not None)
        return Client(client_id, tuple(rows[0]["scope"].split()), secrets)

    async def stands(self, jti: str, client_id: str) -> bool:
        """Whether a token that is otherwise valid was not revoked and its client is active."""
        administrator = client_id == ADMINISTRATOR
        row = await self._database.fetchrow(_STANDS, jti, administrator, client_id)
        return row is not None and bool(row["stands"])

    async def revoke(self, jti: str, client_id: str, seconds_left: float) -> None:
        """Remember it until it has ended, and a day longer. Twice is as once."""
        values = (jti, client_id, max(0, int(seconds_left)) + _KEPT_AFTER_END)
        try:
            if not await self._database.execute(_AGAIN, *values):
                await self._database.execute(_REVOKE, *values)
        except err.IntegrityError as error:
            if error.args[0] != ER.DUP_ENTRY:
                raise

    async def register(
        self, client_id: str, name: str, scope: str, hashed: str, fingerprint: int
    ) -> None:
        """A new client with its secret, both or neither."""
        async with self._database.connection() as connection:
            await connection.begin()
            async with connection.cursor() as cursor:
                await cursor.execute(_REGISTER, (client_id, name, scope))
                await cursor.execute(_PUT_SECRET, (client_id, 1, hashed, fingerprint))
            await connection.commit()

    async def replace_secret(
        self,
        client_id: str,
        hashed: str,
        fingerprint: int,
        overlap_seconds: int,
        replaced: Replaced | None,
    ) -> datetime | None:
        """Add a secret; when the one before ends, None if it has.

        Where an overlap goes on: OverlapError, unless it is said which of the two goes at once.
        Raises NoSuchClientError.
        """
        async with self._database.connection() as connection:
            await connection.begin()
            async with connection.cursor() as cursor:
                await cursor.execute(_LOCK, (client_id,))
                row = await cursor.fetchone()
                if row is None or not row["is_active"]:
                    raise NoSuchClientError
                await cursor.execute(_SECRETS, (client_id,))
                valid = await cursor.fetchall()
                ending = next((one for one in valid if one["expires_at"] is not None), None)
                if ending is not None and replaced is None:
                    raise OverlapError(_moment(ending["expires_at"]))
                slot = valid[0]["slot"]
                if ending is None or replaced == "oldest":
                    await cursor.execute(_END_SECRET, (overlap_seconds, client_id, slot))
                    slot = 3 - slot
                await cursor.execute(_PUT_SECRET, (client_id, slot, hashed, fingerprint))
                await cursor.execute(_SECRETS, (client_id,))
                left = await cursor.fetchall()
            await connection.commit()
        return next((_moment(one["expires_at"]) for one in left if one["expires_at"]), None)

    async def deactivate(self, client_id: str) -> None:
        """Twice is as once. Raises NoSuchClientError."""
        if not await self._database.execute(_DEACTIVATE, client_id):
            raise NoSuchClientError

    async def get(self, client_id: str) -> ClientRecord:
        """Active or not, with the secrets that are valid now. Raises NoSuchClientError."""
        row = await self._database.fetchrow(_GET, client_id)
        if row is None:
            raise NoSuchClientError
        secrets = await self._database.fetch(_SECRETS, client_id)
        return _record(row, tuple(_secret_record(one) for one in secrets))

    async def list(self, before: str | None, limit: int, active: bool | None) -> list[ClientRecord]:
        """Without their secrets, newest first, from below the id `before`."""
        last = before or _PAST_ALL_IDS
        if active is None:
            rows = await self._database.fetch(_LIST, last, limit)
        else:
            rows = await self._database.fetch(_LIST_BY_STATE, active, last, limit)
        return [_record(row) for row in rows]


def _secret(row: Mapping[str, Any], asked: float) -> Secret:
    left = row["microseconds"]
    until = None if left is None else asked + left / 1e6
    return Secret(row["secret_hash"], row["fingerprint"], until)


def _record(row: Mapping[str, Any], secrets: tuple[SecretRecord, ...] = ()) -> ClientRecord:
    return ClientRecord(
        row["client_id"],
        row["client_name"],
        row["scope"],
        bool(row["is_active"]),
        _moment(row["created_at"]),
        secrets,
    )


def _secret_record(row: Mapping[str, Any]) -> SecretRecord:
    ends = row["expires_at"]
    return SecretRecord(_moment(row["created_at"]), _moment(ends) if ends else None)


def _moment(naive: datetime) -> datetime:
    return naive.replace(tzinfo=UTC)
