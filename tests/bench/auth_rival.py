"""The token endpoint as one writes it first: FastAPI, a query and bcrypt for every request.

With RIVAL_REMEMBERS as one writes it second: what bcrypt has said of a secret is kept.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

import bcrypt
from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from services.auth_service.keys import SigningKeys
from services.auth_service.settings import AuthSettings
from services.auth_service.store import ClientStore
from services.auth_service.tokens import Tokens
from services.shared.mysql.database import Database
from services.shared.runtime.settings import DatabaseSettings, load


class Answer(BaseModel):
    access_token: str
    token_type: str = "Bearer"
    expires_in: int = 600
    scope: str


def make() -> Any:
    """The factory that uvicorn is told to call."""
    settings = load(AuthSettings)
    tokens = Tokens(settings, SigningKeys(settings.keys_dir))
    database = Database(load(DatabaseSettings), CollectorRegistry(), application_name="rival")
    store = ClientStore(database)

    remembers = bool(os.environ.get("RIVAL_REMEMBERS"))
    right: set[tuple[str, bytes]] = set()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await database.open()
        yield
        await database.close()

    app = FastAPI(lifespan=lifespan)

    @app.post("/oauth/token")
    async def token(request: Request) -> Answer:
        form = dict(parse_qsl((await request.body()).decode()))
        client = await store.client(form["client_id"])
        assert client is not None
        secret, hashed = form["client_secret"], client.secrets[0].hash.encode()
        if not (remembers and (secret, hashed) in right):
            assert await asyncio.to_thread(bcrypt.checkpw, secret.encode(), hashed)
            right.add((secret, hashed))
        scope = " ".join(client.scopes)
        made, _ = tokens.issue(client.client_id, scope)
        return Answer(access_token=made, scope=scope)

    return app
