"""The guard of a process, with its keys kept fresh."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from prometheus_client import CollectorRegistry

from services.shared.auth.guard import TokenGuard
from services.shared.auth.keys import Keys
from services.shared.auth.settings import AuthenticationSettings
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)


@contextlib.asynccontextmanager
async def guarded(
    settings: AuthenticationSettings, registry: CollectorRegistry
) -> AsyncIterator[TokenGuard | None]:
    """The guard, for as long as the context lasts; None where none is wanted.

    Nothing waits for the keys, readiness least of all: what has them goes on through an outage of
    the authorization server, and what has none says so to who asks, with 503.
    """
    if settings.mode == "off":
        log.warning(
            "authentication_is_off",
            meaning="everybody who reaches this process may do everything",
            way_out="unset AUTH_MODE, and set AUTH_ISSUER and AUTH_JWKS_URL",
        )
        yield None
        return
    assert settings.jwks_url is not None, "the settings insist on it"
    keys = Keys(settings.jwks_url)
    fresh = asyncio.create_task(keys.keep_fresh(settings.refresh_seconds))
    try:
        yield TokenGuard(settings, keys, registry)
    finally:
        fresh.cancel()
        await asyncio.wait({fresh})
