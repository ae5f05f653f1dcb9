"""What a service that takes tokens does while auth-service, or its database, is away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.auth_service.settings import AuthSettings
from services.shared.runtime.settings import DatabaseSettings, RedisSettings
from tests.integration.auth_service.conftest import CLIENTS, GRANT, ISSUER, TOKEN
from tests.integration.conftest import MakeDatabase
from tests.integration.processes import ServiceProcess, environment
from tests.integration.servers import MySQLServer, eventually

PATH = "/api/v1/resources"
MakeRest = Callable[[], Awaitable[ServiceProcess]]


@pytest.fixture
async def make_rest(
    process: ServiceProcess,
    restdb: DatabaseSettings,
    make_database: MakeDatabase,
    redis_settings: RedisSettings,
    tmp_path: Path,
) -> AsyncIterator[MakeRest]:
    """rest-service, which takes the tokens of the auth-service that runs as a process."""
    started: list[ServiceProcess] = []
    datadb = await make_database("datadb")
    settings: dict[str, Any] = {
        "AUTH_ISSUER": ISSUER,
        "AUTH_JWKS_URL": f"http://127.0.0.1:{process.port}/.well-known/jwks.json",
        "AUTH_REFRESH_SECONDS": 1,
        **{
            f"DATA_STORE_{name.upper()}": value
            for name, value in datadb.model_dump(exclude_none=True).items()
        },
        **{
            f"REDIS_{name.upper()}": value
            for name, value in redis_settings.model_dump(exclude_none=True).items()
        },
    }

    async def make() -> ServiceProcess:
        log = tmp_path / f"rest-{len(started)}.log"
        variables = environment("rest-service", restdb, **settings)
        started.append(ServiceProcess("services.rest_service", variables, log))
        await eventually(started[-1].ready)
        return started[-1]

    yield make
    for one in started:
        one.kill()


async def issued(auth: ServiceProcess, settings: AuthSettings, number: int) -> list[str]:
    """Tokens of a new client that may write resources."""
    base = f"http://127.0.0.1:{auth.port}"
    async with httpx.AsyncClient(base_url=base, timeout=60) as http:

        async def token(who: tuple[str, str]) -> str:
            answer = await http.post(TOKEN, data=GRANT, auth=who)
            assert answer.status_code == 200, answer.text
            return answer.json()["access_token"]

        administrator = await token(("administrator", settings.admin_secret_file.read_text()))
        made = await http.post(
            CLIENTS,
            json={"client_name": "a client", "scope": "resources:write"},
            headers={"authorization": f"Bearer {administrator}"},
        )
        who = made.json()["client_id"], made.json()["client_secret"]
        return [await token(who) for _ in range(number)]


async def has_keys(rest: ServiceProcess) -> None:
    """It is ready without them, and its first look may have been given up."""
    await eventually(lambda: rest.metric("auth_keys"))


async def written(rest: ServiceProcess, token: str) -> int:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{rest.port}", timeout=60) as http:
        headers = {"authorization": f"Bearer {token}"}
        return (await http.post(PATH, json={"name": "r"}, headers=headers)).status_code


async def test_while_auth_service_is_away_its_tokens_are_taken_and_nobody_is_less_ready(
    process: ServiceProcess, make_rest: MakeRest, auth_settings: AuthSettings
) -> None:
    shown, unseen = await issued(process, auth_settings, 2)
    rest = await make_rest()
    await has_keys(rest)
    assert await written(rest, shown) == 201
    process.kill()

    async def missed() -> bool:
        return "keys_not_fetched" in rest.log.read_text()

    await eventually(missed)  # it looked for keys in vain
    assert [await written(rest, token) for token in (shown, unseen)] == [201, 201]
    assert await written(rest, unseen[:-4] + "AAAA") == 401
    await eventually(rest.ready)
    # One that never saw the keys can tell nobody from anybody: not refused for good, and up.
    late = await make_rest()
    assert await written(late, shown) == 503


async def test_while_the_client_database_is_away_keys_are_had_also_by_who_starts_now(
    process: ServiceProcess,
    make_rest: MakeRest,
    auth_settings: AuthSettings,
    healthy_mysql: MySQLServer,
) -> None:
    before, unseen = await issued(process, auth_settings, 2)
    rest = await make_rest()
    await has_keys(rest)
    assert await written(rest, before) == 201
    healthy_mysql.container.kill()
    late = await make_rest()
    await has_keys(late)
    for service in (rest, late):
        assert [await written(service, token) for token in (before, unseen)] == [201, 201]
        await eventually(service.ready)
    await eventually(process.ready)


async def test_nobody_is_sent_to_an_auth_service_that_never_saw_its_database(
    client_db: DatabaseSettings, auth_settings: AuthSettings, tmp_path: Path
) -> None:
    variables = environment(
        "auth-service",
        client_db.model_copy(update={"port": 1}),
        AUTH_ISSUER=ISSUER,
        AUTH_KEYS_DIR=auth_settings.keys_dir,
        AUTH_ADMIN_SECRET_FILE=auth_settings.admin_secret_file,
    )
    started = ServiceProcess("services.auth_service", variables, tmp_path / "never.log")

    async def told_why() -> bool:
        response = await started.get("/ready")
        if response is None:
            return False
        assert response.status_code == 503
        # Or that it has no answer yet, when this takes more than a second.
        return response.json()["checks"] == {"database": "DatabaseUnavailableError"}

    try:
        await eventually(told_why)
    finally:
        started.kill()
