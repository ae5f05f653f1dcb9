"""The signing key replaced while clients get tokens and a service verifies every one of them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from services.auth_service.settings import AuthSettings
from services.contracts.scopes import DATA_READ
from services.shared.auth import keys
from services.shared.auth.guard import TokenGuard
from services.shared.auth.settings import AuthenticationSettings
from services.shared.auth.wiring import guarded
from services.shared.http.problem import ProblemError
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.auth_service.conftest import GRANT, ISSUER, TOKEN, KeysFolder, serving
from tests.integration.processes import ServiceProcess
from tests.integration.servers import eventually

LIFETIME = 30


@pytest.fixture
async def server(
    client_db: DatabaseSettings, auth_settings: AuthSettings, tmp_path: Path
) -> AsyncIterator[ServiceProcess]:
    """Its tokens are short-lived, as short as they may be."""
    async with serving(
        client_db, auth_settings, tmp_path, AUTH_LIFETIME_SECONDS=str(LIFETIME)
    ) as started:
        yield started


@pytest.fixture
async def guard(
    server: ServiceProcess, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[TokenGuard]:
    """What stands before every API, looking for keys once a second."""
    # A look that is given up finds no key, and what is tested is that each look finds one.
    monkeypatch.setattr(keys, "FETCH_SECONDS", 30.0)
    settings = AuthenticationSettings(
        issuer=ISSUER,
        jwks_url=f"http://127.0.0.1:{server.port}/.well-known/jwks.json",
        refresh_seconds=1,
        leeway_seconds=0,
    )
    async with guarded(settings, new_registry()) as made:
        assert made is not None
        yield made


class Clients:
    """They get tokens all the while, and show each one until it ends."""

    def __init__(self, server: ServiceProcess, guard: TokenGuard, secret: str) -> None:
        self._url = f"http://127.0.0.1:{server.port}{TOKEN}"
        self._guard = guard
        self._secret = secret
        self._held: list[tuple[bytes, str, float]] = []
        self.shown = 0
        self.refused: list[str] = []
        self.newest = ""

    async def run(self) -> None:
        async with httpx.AsyncClient(auth=("administrator", self._secret), timeout=60) as http:
            while True:
                answer = await http.post(self._url, data=GRANT)
                assert answer.status_code == 200, answer.text
                token = answer.json()["access_token"]
                self.newest = str(_part(token, 0)["kid"])
                ends = float(_part(token, 1)["exp"])
                self._held.append((b"Bearer " + token.encode(), self.newest, ends))
                self._held = [held for held in self._held if held[2] > time.time() + 1]
                for header, kid, ends in self._held:
                    await self._show(header, kid, ends)
                await asyncio.sleep(0.1)

    async def _show(self, header: bytes, kid: str, ends: float) -> None:
        try:
            if self._guard.known(header, needs="clients:admin") is None:
                await self._guard.check(header, needs="clients:admin")
        except ProblemError as error:
            if time.time() < ends:  # else it may have ended on its way
                self.refused.append(f"{kid}: {error.detail}")
        self.shown += 1

    def holds(self, kid: str) -> bool:
        return any(its == kid for _, its, _ in self._held)


def _part(token: str, number: int) -> dict[str, Any]:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[number] + "=="))


async def test_no_token_is_refused_and_what_the_dropped_key_signs_is_none(
    server: ServiceProcess,
    guard: TokenGuard,
    keys_folder: KeysFolder,
    auth_settings: AuthSettings,
) -> None:
    clients = Clients(server, guard, auth_settings.admin_secret_file.read_text())
    working = asyncio.create_task(clients.run())

    async def until(kid: str) -> None:
        async def signs() -> bool:
            if working.done():
                working.result()
            return clients.newest == kid

        await eventually(signs)

    await until("k1")
    keys_folder.add("k2")
    old = keys_folder.keys["k1"]
    # Published first: services look at once for a key that they do not know.
    await eventually(lambda: _publishes(server, {"k1", "k2"}))
    keys_folder.activate("k2")
    await until("k2")

    async def ended() -> bool:
        return not clients.holds("k1")

    assert clients.holds("k1")
    await eventually(ended, LIFETIME + 30)
    (keys_folder.path / "k1.pem").unlink()
    await eventually(lambda: _publishes(server, {"k2"}))
    shown = clients.shown

    async def more() -> bool:
        return clients.shown > shown + 100

    await eventually(more)
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    assert clients.refused == []
    await _refuses(guard, old)


async def _publishes(server: ServiceProcess, kids: set[str]) -> bool:
    answer = await server.get("/.well-known/jwks.json")
    return answer is not None and {key["kid"] for key in answer.json()["keys"]} == kids


async def _refuses(guard: TokenGuard, old: ECKey) -> None:
    """Once it has looked again, which it does by itself."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "sub": "x",
        "client_id": "x",
        "aud": "millrace",
        "iat": now,
        "exp": now + 600,
        "jti": "x" * 22,
        "scope": DATA_READ,
    }
    forged = jwt.encode({"typ": "at+jwt", "alg": "ES256", "kid": "k1"}, claims, old)

    async def refused() -> bool:
        try:
            await guard.check(b"Bearer " + forged.encode(), needs=DATA_READ)
        except ProblemError as error:
            return error.status == 401
        return False

    await eventually(refused)
