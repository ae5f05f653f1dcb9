"""Administrators register clients, replace their secrets and deactivate them."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.auth_service.hashing import fingerprint
from services.auth_service.store import ClientStore
from services.shared.mysql.connections import connect
from services.shared.runtime.metrics import new_registry
from tests.integration.auth_service.conftest import CLIENTS, Auth, Credentials, PatientDatabase
from tests.integration.authority import PATIENCE
from tests.integration.servers import eventually


async def replace(auth: Auth, who: Credentials, **given: Any) -> httpx.Response:
    path = f"{CLIENTS}/{who.client_id}/secrets"
    return await auth.http.post(path, json=given, headers=await auth.bearer())


async def valid(auth: Auth, who: Credentials) -> bool:
    return (await auth.token(who)).status_code == 200


async def test_a_registration_answers_the_secret_once_and_the_server_keeps_a_hash(
    auth: Auth,
) -> None:
    headers = await auth.bearer()
    given = {"client_name": "Ünit tests", "scope": "data:write data:read", "client_uri": "ignored"}
    answer = await auth.http.post(CLIENTS, json=given, headers=headers)
    made = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert made["scope"] == "data:read data:write"
    assert made["client_secret_expires_at"] == 0
    seen = await auth.http.get(f"{CLIENTS}/{made['client_id']}", headers=headers)
    assert seen.json()["client_name"] == "Ünit tests"
    assert [secret["expires_at"] for secret in seen.json()["secrets"]] == [None]
    assert made["client_secret"] not in seen.text
    connection = await connect(auth.database, "test", connect_timeout=PATIENCE)
    async with connection.cursor() as cursor:
        await cursor.execute(
            "SELECT secret_hash FROM client_secrets WHERE client_id = %s", made["client_id"]
        )
        [row] = await cursor.fetchall()
    connection.close()
    assert row["secret_hash"].startswith("$2b$10$")


async def test_the_account_of_the_service_can_neither_delete_nor_change_tables(auth: Auth) -> None:
    for statement in ("DELETE FROM clients", "DROP TABLE clients", "TRUNCATE revoked_tokens"):
        connection = await connect(auth.database, "test", connect_timeout=PATIENCE)
        async with connection.cursor() as cursor:
            with pytest.raises(Exception, match="denied"):
                await cursor.execute(statement)
        connection.close()


async def test_pages_show_every_client_once_newest_first_and_by_their_state(auth: Auth) -> None:
    made = [(await auth.register("data:read")).client_id for _ in range(3)]
    headers = await auth.bearer()
    await auth.http.delete(f"{CLIENTS}/{made[1]}", headers=headers)
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while len(seen) < 3:
        page = (await auth.http.get(CLIENTS, params={"limit": 2, **cursor}, headers=headers)).json()
        seen += [item["client_id"] for item in page["items"]]
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
    assert seen[:3] == made[::-1]
    for active, expected in (("true", [made[2], made[0]]), ("false", [made[1]])):
        params = {"limit": 200, "active": active}
        page = (await auth.http.get(CLIENTS, params=params, headers=headers)).json()
        found = [item["client_id"] for item in page["items"]]
        assert [client for client in found if client in made] == expected


async def test_both_secrets_are_valid_until_the_overlap_ends(auth: Auth) -> None:
    old = await auth.register()
    answer = await replace(auth, old, overlap_seconds=20)
    assert answer.status_code == 201, answer.text
    new = Credentials(old.client_id, answer.json()["client_secret"])
    assert await valid(auth, old)
    assert await valid(auth, new)

    slowest = 0.0

    async def ended() -> bool:
        nonlocal slowest
        asked = time.monotonic()
        still = await valid(auth, old)
        slowest = max(slowest, time.monotonic() - asked)
        return not still

    await eventually(ended)
    ends = datetime.fromisoformat(answer.json()["previous_secret_expires_at"])
    # What is left is counted from before the database was asked, so it ends that much earlier.
    assert datetime.now(UTC) + timedelta(seconds=slowest) >= ends
    assert await valid(auth, new)


async def test_without_an_overlap_the_old_secret_ends_at_once(auth: Auth) -> None:
    old = await auth.register()
    assert await valid(auth, old)  # and is remembered as such
    answer = await replace(auth, old, overlap_seconds=0)
    assert answer.json()["previous_secret_expires_at"] is None
    assert not await valid(auth, old)


async def test_a_half_done_rotation_is_finished_by_saying_which_secret_goes(auth: Auth) -> None:
    first = await auth.register()
    await replace(auth, first)  # its answer got lost
    refused = await replace(auth, first)
    assert refused.status_code == 409
    assert "replace = oldest, or newest" in refused.json()["detail"]
    answer = await replace(auth, first, replace="newest")
    third = Credentials(first.client_id, answer.json()["client_secret"])
    assert await valid(auth, first)
    assert await valid(auth, third)
    # And with nothing lost, on to the next: the first goes, though its overlap is not over.
    answer = await replace(auth, first, replace="oldest")
    fourth = Credentials(first.client_id, answer.json()["client_secret"])
    assert [await valid(auth, one) for one in (first, third, fourth)] == [False, True, True]


async def test_of_many_who_replace_a_secret_at_once_one_does_and_the_others_are_told(
    auth: Auth,
) -> None:
    client = await auth.register()
    answers = await asyncio.gather(*(replace(auth, client) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert await valid(auth, client)


async def test_a_deactivated_client_gets_no_token_and_no_secret_here_at_once(auth: Auth) -> None:
    client = await auth.register()
    assert await valid(auth, client)
    path, headers = f"{CLIENTS}/{client.client_id}", await auth.bearer()
    for _ in range(2):
        assert (await auth.http.delete(path, headers=headers)).status_code == 204
    assert not await valid(auth, client)
    assert (await replace(auth, client)).status_code == 404
    assert (await auth.http.get(path, headers=headers)).json()["is_active"] is False


async def test_what_another_process_changed_holds_within_the_seconds_that_are_set(
    auth: Auth,
) -> None:
    client = await auth.register()
    assert await valid(auth, client)
    elsewhere = PatientDatabase(auth.database, new_registry(), application_name="elsewhere")
    await elsewhere.open()
    await ClientStore(elsewhere).deactivate(client.client_id)
    await elsewhere.close()

    async def ended() -> bool:
        return not await valid(auth, client)

    await eventually(ended)


async def test_the_administrators_secret_is_read_again_when_the_file_changes(auth: Auth) -> None:
    old = auth.administrator
    auth.settings.admin_secret_file.write_text("another")
    assert not await valid(auth, old)
    assert await valid(auth, auth.administrator)


async def test_the_administrator_may_ask_for_nothing_but_to_administer(auth: Auth) -> None:
    assert (await auth.token(auth.administrator, scope="data:read")).json() == {
        "error": "invalid_scope",
        "error_description": "a requested scope is unknown, or not one of this client",
    }


async def test_a_row_of_revoked_tokens_is_used_again_when_its_token_is_long_over(
    auth: Auth,
) -> None:
    database = PatientDatabase(auth.database, new_registry(), application_name="test")
    await database.open()
    store = ClientStore(database)
    await database.execute("UPDATE revoked_tokens SET expires_at = '2020-01-01'")
    await store.revoke("a" * 22, "administrator", -86_400 - 5)
    await database.execute("UPDATE revoked_tokens SET expires_at = '2020-01-01'")
    before = await database.fetchrow("SELECT count(*) AS n FROM revoked_tokens")
    await store.revoke("b" * 22, "administrator", 60)
    await store.revoke("b" * 22, "administrator", 60)
    after = await database.fetchrow("SELECT count(*) AS n FROM revoked_tokens")
    assert before == after
    assert not await store.stands("b" * 22, "administrator")
    await database.close()


def test_a_fingerprint_is_of_32_bits_and_of_the_secret() -> None:
    assert 0 <= fingerprint("x") < 2**32
    assert fingerprint("x") != fingerprint("y")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"client_name": "a"}, "body.scope"),
        ({"client_name": "a", "scope": "all"}, "body.scope"),
        ({"client_name": "", "scope": "data:read"}, "body.client_name"),
        ({"client_name": "a\nb", "scope": "data:read"}, "body.client_name"),
        ({"client_name": "a", "scope": "data:read", "grant_types": ["password"]}, "body.grant_ty"),
    ],
)
async def test_a_registration_that_is_refused_names_the_field(
    auth: Auth, given: dict[str, Any], field: str
) -> None:
    answer = await auth.http.post(CLIENTS, json=given, headers=await auth.bearer())
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith(field)
