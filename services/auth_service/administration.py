"""What administrators do with clients; every act leaves a line in the audit log."""

from __future__ import annotations

import time
from dataclasses import dataclass

from services.auth_service import audit
from services.auth_service.authentication import Authenticator
from services.auth_service.hashing import Hasher, fingerprint, new_secret
from services.auth_service.model import ClientRecord, in_order
from services.auth_service.models import (
    ClientInput,
    NewClient,
    NewSecret,
    SecretInput,
)
from services.auth_service.settings import AuthSettings
from services.auth_service.store import ClientStore
from services.contracts.ids import new_id


@dataclass(frozen=True)
class Administrator:
    """Who asks, and from where."""

    client_id: str
    address: str


class Administration:
    """Raises NoSuchClientError, OverlapError, BusyError, DatabaseUnavailableError."""

    def __init__(
        self,
        settings: AuthSettings,
        store: ClientStore,
        hasher: Hasher,
        authenticator: Authenticator,
    ) -> None:
        self._settings = settings
        self._store = store
        self._hasher = hasher
        self._authenticator = authenticator

    async def register(self, by: Administrator, given: ClientInput) -> NewClient:
        client_id, secret = new_id(), new_secret()
        scope = in_order(frozenset(given.scope.split()))
        hashed = await self._hasher.hash(secret)
        await self._store.register(client_id, given.client_name, scope, hashed, fingerprint(secret))
        self._authenticator.forget(client_id)
        audit.note("register", by.client_id, "done", by.address, client_id=client_id, scope=scope)
        return NewClient(
            client_id=client_id,
            client_id_issued_at=int(time.time()),
            client_secret=secret,
            client_name=given.client_name,
            scope=scope,
            token_endpoint_auth_method=given.token_endpoint_auth_method,
        )

    async def replace_secret(
        self, by: Administrator, client_id: str, given: SecretInput
    ) -> NewSecret:
        secret = new_secret()
        overlap = given.overlap_seconds
        if overlap is None:
            overlap = self._settings.overlap_seconds
        hashed = await self._hasher.hash(secret)
        until = await self._store.replace_secret(
            client_id, hashed, fingerprint(secret), overlap, given.replace
        )
        self._authenticator.forget(client_id)
        audit.note(
            "replace_secret",
            by.client_id,
            "done",
            by.address,
            client_id=client_id,
            previous_until=until.isoformat() if until else None,
        )
        return NewSecret(
            client_id=client_id, client_secret=secret, previous_secret_expires_at=until
        )

    async def deactivate(self, by: Administrator, client_id: str) -> None:
        await self._store.deactivate(client_id)
        self._authenticator.forget(client_id)
        audit.note("deactivate", by.client_id, "done", by.address, client_id=client_id)

    async def get(self, client_id: str) -> ClientRecord:
        return await self._store.get(client_id)

    async def list(self, before: str | None, limit: int, active: bool | None) -> list[ClientRecord]:
        return await self._store.list(before, limit, active)
