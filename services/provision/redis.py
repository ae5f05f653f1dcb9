"""Has a Redis server read its users again, and sees that their passwords are what they should be.

Idempotent. Who may do what is in a file that the server has mounted, so that a restart at any
moment finds what was read before it, or what is newer. Reading it again ends no connection but
those of users who are gone (Redis 7.4 or newer).
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, ConnectionError, ResponseError, TimeoutError

from services.provision.spec import CredentialSpec, ProvisionError, RedisSpec
from services.shared.redis.client import client
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import RedisSettings

log = get_logger(__name__)

_TIMEOUT: Final = 5.0
_LOOK_SECONDS: Final = 0.5
_FOLLOW_SECONDS: Final = 150.0
"""Kubernetes takes up to a minute and a half to change a file in a pod that runs."""
_AWAY: Final = (ConnectionError, TimeoutError, OSError)


async def provision(
    spec: RedisSpec, *, wait_seconds: float, follow_seconds: float = _FOLLOW_SECONDS
) -> None:
    """Wait for the server, then until it goes by the users that the spec names; then try each.

    Raises ProvisionError.
    """
    server = _Server(spec)
    operator = await server.operator(wait_seconds)
    try:
        await _read_users(spec, operator, follow_seconds)
    finally:
        await operator.aclose()
    for user in (spec.operator, *spec.users):
        await server.check(user)


class _Server:
    """One server, for whoever logs in."""

    def __init__(self, spec: RedisSpec) -> None:
        self._spec = spec
        self._where = f"redis at {spec.host}:{spec.port}"

    async def operator(self, wait_seconds: float) -> Redis:
        """Logged in by the password it has, or by the one before, which the server may still
        know alone."""
        own = self._spec.operator
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                for file in _held(own):
                    if await self._accepts(own.name, file):
                        return self._client(own.name, file)
            except _AWAY as error:
                if time.monotonic() >= deadline:
                    raise ProvisionError(
                        f"{self._where}: did not answer within {wait_seconds:g} s"
                        f" ({type(error).__name__}); see that it runs and that its certificate is"
                        " signed by the CA"
                    ) from error
                log.info("waiting_for_server", error=type(error).__name__)
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                raise ProvisionError(
                    f"{self._where}: refuses every password of {own.name!r}, so its users cannot be"
                    " read again; restart it, which has it read them, then run this again"
                )

    async def check(self, user: CredentialSpec) -> None:
        """See that the password is accepted, and the one before as the spec says."""
        if not await self._accepts(user.name, user.password_file):
            raise ProvisionError(
                f"{self._where}: refuses {user.name!r} its password, though it has read the users"
                " that have it; see that both Secrets are of one update, then run this again"
            )
        before = user.previous
        if before is None:
            return
        accepted = await self._accepts(user.name, before.password_file)
        if accepted != before.accepted:
            raise ProvisionError(
                f"{self._where}: {'still accepts' if accepted else 'refuses'} the previous password"
                f" of {user.name!r}; run this again, and if it stays so, see its ACL file"
            )
        log.info("previous_password", user=user.name, accepted=accepted)

    async def _accepts(self, user: str, password_file: Path) -> bool:
        tried = self._client(user, password_file)
        try:
            await tried.ping()
        except AuthenticationError:
            return False
        finally:
            await tried.aclose()
        return True

    def _client(self, user: str, password_file: Path) -> Redis:
        settings = RedisSettings(
            host=self._spec.host,
            port=self._spec.port,
            username=user,
            password_file=password_file,
            ca_file=self._spec.ca_file,
        )
        return client(settings, timeout=_TIMEOUT, max_connections=1)


def _held(user: CredentialSpec) -> list[Path]:
    return [user.password_file, *([user.previous.password_file] if user.previous else [])]


async def _read_users(spec: RedisSpec, operator: Redis, seconds: float) -> None:
    """Have the file read until it is the one wanted: it reaches a pod that runs by and by."""
    deadline = time.monotonic() + seconds
    waited = False
    # The library's types know no answers of these.
    asked: Any = operator
    while spec.acl not in await asked.acl_users():
        if time.monotonic() >= deadline:
            raise ProvisionError(
                f"redis at {spec.host}:{spec.port}: its file of users is not {spec.acl} after"
                f" {seconds:g} s; run this again, and if it stays so, restart the server"
            )
        if waited:
            await asyncio.sleep(_LOOK_SECONDS)
        waited = True
        try:
            await asked.acl_load()
        except ResponseError as error:
            raise ProvisionError(
                f"redis at {spec.host}:{spec.port}: cannot read its users, and goes by those of"
                f" before: {error}; correct them, then run this again"
            ) from error
    log.info("users_read", acl=spec.acl)
