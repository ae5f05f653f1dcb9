"""The authorization server on a real MySQL: inside the test's process, or as one of its own."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key
from prometheus_client import CollectorRegistry

from services.auth_service import wiring
from services.auth_service.settings import AuthSettings
from services.auth_service.wiring import Means, application
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.provision.mysql import provision
from services.shared.http.health import Readiness
from services.shared.mysql.database import Database
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import DatabaseSettings, ServiceSettings
from tests.integration.authority import PATIENCE
from tests.integration.processes import ServiceProcess, environment
from tests.integration.servers import Authority, MySQLServer, eventually

TOKEN, INTROSPECT, REVOKE = "/oauth/token", "/oauth/introspect", "/oauth/revoke"
CLIENTS = "/oauth/clients"
ISSUER = "http://auth.test"
GRANT = {"grant_type": "client_credentials"}

PatientDatabase = functools.partial(
    Database, connect_timeout=PATIENCE, acquire_timeout=PATIENCE, command_timeout=PATIENCE
)
"""A busy machine may take longer for TLS, or for a commit, than the service waits for them, which
then says 503: right, and not what is asked of it here. One that is gone is known at once."""

_addresses = itertools.count(1)


@dataclass(frozen=True)
class Credentials:
    """A registered client."""

    client_id: str
    secret: str

    @property
    def basic(self) -> tuple[str, str]:
        return self.client_id, self.secret


class KeysFolder:
    """The mounted folder of signing keys, and what its owner does with it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        folder.mkdir()
        self.keys: dict[str, ECKey] = {}

    def add(self, kid: str) -> ECKey:
        key = self.keys[kid] = ECKey.generate_key("P-256", {"kid": kid})
        (self.path / f"{kid}.pem").write_bytes(key.as_pem(private=True))
        return key

    def activate(self, kid: str) -> None:
        (self.path / "active").write_text(f"{kid}\n")


@dataclass
class Auth:
    """The application and an HTTP client for it."""

    http: httpx.AsyncClient
    settings: AuthSettings
    keys: KeysFolder
    registry: CollectorRegistry
    database: DatabaseSettings
    app: Any

    async def token(self, who: Credentials, **form: str) -> httpx.Response:
        return await self.http.post(TOKEN, data={**GRANT, **form}, auth=who.basic)

    async def issued(self, who: Credentials, **form: str) -> str:
        answer = await self.token(who, **form)
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    @property
    def administrator(self) -> Credentials:
        return Credentials("administrator", self.settings.admin_secret_file.read_text())

    async def bearer(self, who: Credentials | None = None) -> dict[str, str]:
        return {"authorization": f"Bearer {await self.issued(who or self.administrator)}"}

    async def register(self, scope: str = "data:read data:write") -> Credentials:
        given = {"client_name": "a client", "scope": scope}
        answer = await self.http.post(CLIENTS, json=given, headers=await self.bearer())
        assert answer.status_code == 201, answer.text
        return Credentials(answer.json()["client_id"], answer.json()["client_secret"])

    async def introspect(self, who: Credentials, token: str) -> dict[str, Any]:
        answer = await self.http.post(INTROSPECT, data={"token": token}, auth=who.basic)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def from_elsewhere(self) -> httpx.AsyncClient:
        """A client with an address of its own, as failures are counted by it."""
        address = f"10.0.{next(_addresses)}.1"
        transport = httpx.ASGITransport(app=self.app, client=(address, 1))
        return httpx.AsyncClient(transport=transport, base_url="http://auth", timeout=60)

    def forged(
        self,
        *,
        key: Key | None = None,
        header: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A token as ours, but for what is said."""
        now = int(time.time())
        own = {
            "iss": ISSUER,
            "sub": "administrator",
            "client_id": "administrator",
            "aud": "millrace",
            "iat": now,
            "exp": now + 600,
            "jti": "x" * 22,
            "scope": "clients:admin",
        }
        told = {**own, **claims}
        return jwt.encode(
            {"typ": "at+jwt", "alg": "ES256", "kid": "k1", **(header or {})},
            {name: value for name, value in told.items() if value is not None},
            key or self.keys.keys["k1"],
        )


@pytest.fixture
def keys_folder(tmp_path: Path) -> KeysFolder:
    folder = KeysFolder(tmp_path / "keys")
    folder.add("k1")
    folder.activate("k1")
    return folder


@pytest.fixture
def auth_settings(keys_folder: KeysFolder, authority: Authority) -> AuthSettings:
    return AuthSettings(
        issuer=ISSUER,
        keys_dir=keys_folder.path,
        admin_secret_file=authority.secret("administrator"),
        refusal_seconds=0,
        client_seconds=0.2,
    )


@pytest.fixture(scope="session")
async def client_db(mysql: MySQLServer) -> DatabaseSettings:
    """One for all: tests register clients of their own. As its services' account."""
    made = mysql.database("client_db")
    await provision(mysql.spec(made))
    owner = mysql.settings(made.name, made.owner.name, made.owner.password_file)
    await migrate(made.name, "auth_service", owner, ENGINES["mysql"])
    return mysql.settings(made.name, made.user.name, made.user.password_file)


@pytest.fixture
async def healthy_mysql(mysql: MySQLServer) -> AsyncIterator[MySQLServer]:
    """For tests that stop the server: it runs again afterwards, whatever they did."""
    yield mysql
    mysql.container.start()
    await mysql.wait()


@pytest.fixture
async def auth(
    client_db: DatabaseSettings,
    auth_settings: AuthSettings,
    keys_folder: KeysFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Auth]:
    monkeypatch.setattr(wiring, "Database", PatientDatabase)
    registry = new_registry()
    means = Means(ServiceSettings(service_name="auth-service"), auth_settings, client_db)
    async with (
        application(means, Readiness(registry), registry) as app,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://auth", timeout=60
        ) as http,
    ):
        yield Auth(http, auth_settings, keys_folder, registry, client_db, app)


@contextlib.asynccontextmanager
async def serving(
    client_db: DatabaseSettings, settings: AuthSettings, folder: Path, **more: str
) -> AsyncIterator[ServiceProcess]:
    """`python -m services.auth_service` with those variables more, ready."""
    variables = {
        "PATH": os.environ["PATH"],
        **environment("auth-service", client_db),
        "AUTH_ISSUER": ISSUER,
        "AUTH_KEYS_DIR": str(settings.keys_dir),
        "AUTH_ADMIN_SECRET_FILE": str(settings.admin_secret_file),
        **more,
    }
    started = ServiceProcess("services.auth_service", variables, folder / "auth.log")
    try:
        await eventually(started.ready)
        yield started
    finally:
        started.kill()


@pytest.fixture
async def process(
    client_db: DatabaseSettings, auth_settings: AuthSettings, tmp_path: Path
) -> AsyncIterator[ServiceProcess]:
    """One that refuses nobody for having failed before."""
    async with serving(
        client_db,
        auth_settings,
        tmp_path,
        AUTH_REFUSAL_SECONDS="0",
        AUTH_FAILURES_PER_ADDRESS="1000000",
        AUTH_FAILURES_PER_CLIENT="10000",
    ) as started:
        yield started
