"""Puts the authorization server's process together and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from services.auth_service.administration import Administration
from services.auth_service.app import create_app
from services.auth_service.authentication import Authenticator
from services.auth_service.discovery import Discovery
from services.auth_service.endpoints import Endpoints
from services.auth_service.guard import OwnGuard
from services.auth_service.hashing import Hasher
from services.auth_service.keys import SigningKeys
from services.auth_service.metrics import AuthMetrics
from services.auth_service.server import Server
from services.auth_service.settings import AuthSettings
from services.auth_service.store import ClientStore
from services.auth_service.tokens import Tokens
from services.shared.http import server
from services.shared.http.health import Check, Readiness
from services.shared.mysql.database import Database
from services.shared.runtime.databases import DatabaseUnavailableError
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import DatabaseSettings, ServiceSettings, read_secret

_PING_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Means:
    """What the service is told."""

    service: ServiceSettings
    auth: AuthSettings
    database: DatabaseSettings


@contextlib.asynccontextmanager
async def application(
    means: Means, readiness: Readiness, registry: CollectorRegistry
) -> AsyncIterator[FastAPI]:
    """The application with all it stands on, for as long as the context lasts.

    Raises SettingsError: no keys, or no secret of the administrator.
    """
    name, settings = means.service.service_name, means.auth
    read_secret(settings.admin_secret_file)
    keys = SigningKeys(settings.keys_dir)
    tokens = Tokens(settings, keys)
    metrics = AuthMetrics(registry)
    database = Database(means.database, registry, application_name=name)
    readiness.add("database", _reached_once(database))
    store = ClientStore(database)
    hasher = Hasher(settings.hash_threads)
    authenticator = Authenticator(settings, store, hasher, metrics)
    endpoints = Endpoints(
        Server(tokens, settings.lifetime_seconds), authenticator, tokens, store, metrics
    )
    await database.open()
    try:
        yield create_app(
            name,
            endpoints,
            Discovery(settings.issuer, keys),
            Administration(settings, store, hasher, authenticator),
            guard=OwnGuard(settings.issuer, tokens, store),
            readiness=readiness,
            registry=registry,
            access_log=means.service.access_log,
        )
    finally:
        hasher.close()
        await database.close()


def _reached_once(database: Database) -> Check:
    """Nobody is sent here before the database was seen; from then on, whether it answers or not.

    Its keys need no database, and pods that others start meanwhile ask for them: if this service
    left the network with its database, those could let nobody in.
    """
    reached = False

    async def check() -> None:
        nonlocal reached
        try:
            async with asyncio.timeout(_PING_SECONDS):
                await database.ping()
        except (TimeoutError, DatabaseUnavailableError):
            if not reached:
                raise
        reached = True

    return check


async def run(means: Means) -> None:
    """Serve until SIGTERM; does not need MySQL to start."""
    stop = asyncio.Event()
    server.stop_on_signals(stop)
    registry = new_registry()
    readiness = Readiness(registry)
    async with application(means, readiness, registry) as app:
        await server.serve(app, means.service, readiness, stop)
