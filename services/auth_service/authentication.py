"""Whether a client is who it says, at little cost for who is and who is not.

A right secret costs bcrypt once a process; from then on its keyed digest is known to go with the
hash, which stays true whatever else changes. What may change, the client's row, is believed for
seconds only. A wrong secret is told from its fingerprint, and costs no bcrypt at all: ten thousand
of them leave the threads to those that are right. All refusals are given equally late.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections import OrderedDict
from typing import Final, TypeVar

from authlib.oauth2.rfc6749 import InvalidClientError, OAuth2Error

from services.auth_service.failures import Failures
from services.auth_service.hashing import Hasher, fingerprint
from services.auth_service.incoming import Presented
from services.auth_service.metrics import AuthMetrics
from services.auth_service.model import ADMINISTRATOR, Client
from services.auth_service.settings import AuthSettings
from services.auth_service.store import ClientStore
from services.contracts.ids import is_uuid7
from services.contracts.scopes import CLIENTS_ADMIN
from services.shared.runtime.once import Once
from services.shared.runtime.settings import read_secret

Key = TypeVar("Key")
Value = TypeVar("Value")

_MOST_CLIENTS: Final = 20_000
"""Rows, absent ones included, and proofs that are remembered at a time."""


class TooManyFailuresError(OAuth2Error):
    """429: this client id, or this address, had its wrong secrets for now."""

    error = "temporarily_unavailable"
    description = "too many wrong secrets; wait before the next"
    status_code = 429

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after


class Authenticator:
    """Of all clients, the administrator included."""

    def __init__(
        self, settings: AuthSettings, store: ClientStore, hasher: Hasher, metrics: AuthMetrics
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._failures = Failures()
        self._key = secrets.token_bytes(32)
        self._rows: OrderedDict[str, tuple[Client | None, float]] = OrderedDict()
        self._proven: OrderedDict[bytes, str] = OrderedDict()
        """Keyed digest of id and secret to the hash that they match."""
        self._load = Once[str, Client | None](store.client)
        # A client that comes with many requests at first, or after a restart, is verified once.
        self._match = Once[tuple[str, str], bool](lambda pair: hasher.matches(*pair))
        self._administrator = Client(ADMINISTRATOR, (CLIENTS_ADMIN,), ())

    def known(self, given: Presented) -> Client | None:
        """The client, when everything about it is at hand."""
        row = self._rows.get(given.client_id)
        if row is None or row[0] is None or row[1] < time.monotonic():
            return None
        client = row[0]
        proven = self._proven.get(self._digest(given))
        if proven is None or not _holds(client, proven):
            return None
        self._metrics.known.inc()
        return client

    async def authenticate(self, given: Presented, address: str) -> Client:
        """Raises InvalidClientError, TooManyFailuresError, BusyError, DatabaseUnavailableError."""
        came = time.monotonic()
        client = await self._check(given)
        if client is not None:
            return client
        wait = self._failures.note(
            (
                (f"client {given.client_id}", self._settings.failures_per_client),
                (f"address {address}", self._settings.failures_per_address),
            )
        )
        await asyncio.sleep(came + self._settings.refusal_seconds - time.monotonic())
        if wait is not None:
            self._metrics.limited.inc()
            raise TooManyFailuresError(int(wait) + 1)
        self._metrics.refused.inc()
        raise InvalidClientError("unknown client, or wrong secret", status_code=401)

    def forget(self, client_id: str) -> None:
        """Its row was changed by this process."""
        self._rows.pop(client_id, None)

    async def _check(self, given: Presented) -> Client | None:
        if given.client_id == ADMINISTRATOR:
            own = read_secret(self._settings.admin_secret_file)
            right = hmac.compare_digest(own.encode(), given.secret.encode())
            return self._administrator if right else None
        client = await self._row(given.client_id) if is_uuid7(given.client_id) else None
        if client is None:
            return None
        digest, mark = self._digest(given), fingerprint(given.secret)
        for secret in client.secrets:
            if secret.fingerprint != mark or not _ended_not(secret.until):
                continue
            if self._proven.get(digest) != secret.hash:
                with self._metrics.hashing.time():
                    if not await self._match.get((given.secret, secret.hash)):
                        continue
                _keep(self._proven, digest, secret.hash)
            return client
        return None

    async def _row(self, client_id: str) -> Client | None:
        row = self._rows.get(client_id)
        if row is None or row[1] < time.monotonic():
            # Believed from when it was asked for: it may have changed before the answer came.
            until = time.monotonic() + self._settings.client_seconds
            row = (await self._load.get(client_id), until)
            _keep(self._rows, client_id, row)
        return row[0]

    def _digest(self, given: Presented) -> bytes:
        return hmac.digest(self._key, f"{given.client_id}\n{given.secret}".encode(), "sha256")


def _holds(client: Client, hashed: str) -> bool:
    return any(one.hash == hashed and _ended_not(one.until) for one in client.secrets)


def _ended_not(until: float | None) -> bool:
    return until is None or time.monotonic() < until


def _keep(kept: OrderedDict[Key, Value], key: Key, value: Value) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > _MOST_CLIENTS:
        kept.popitem(last=False)
