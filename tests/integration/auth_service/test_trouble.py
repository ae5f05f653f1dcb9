"""Foreign tokens, wrong secrets by the thousand, keys that change, and a database that is away."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from services.auth_service.settings import AuthSettings
from tests.integration.auth_service.conftest import (
    CLIENTS,
    GRANT,
    TOKEN,
    Auth,
    Credentials,
)
from tests.integration.servers import MySQLServer, eventually


def unsigned(token: str) -> str:
    header = base64.urlsafe_b64encode(b'{"typ":"at+jwt","alg":"none"}').rstrip(b"=").decode()
    return f"{header}.{token.split('.')[1]}."


def by_the_public_key(auth: Auth) -> str:
    """Signed with HMAC, the published key being the secret: what algorithm confusion is."""
    public = auth.keys.keys["k1"].as_pem(private=False)
    claims = jwt.decode(auth.forged(), auth.keys.keys["k1"]).claims
    header = {"typ": "at+jwt", "alg": "HS256", "kid": "k1"}
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in (header, claims)
    )
    # By hand: the library does not do it.
    mark = hmac.digest(public, head + b"." + body, "sha256")
    return b".".join((head, body, base64.urlsafe_b64encode(mark).rstrip(b"="))).decode()


FOREIGN = {
    "unsigned": lambda auth: unsigned(auth.forged()),
    "HMAC with the public key": by_the_public_key,
    "a foreign key": lambda auth: auth.forged(key=ECKey.generate_key("P-256")),
    "a key nobody knows": lambda auth: auth.forged(header={"kid": "k9"}),
    "another audience": lambda auth: auth.forged(aud="others"),
    "another issuer": lambda auth: auth.forged(iss="http://elsewhere.test"),
    "ended": lambda auth: auth.forged(exp=int(time.time()) - 1),
    "from the future": lambda auth: auth.forged(iat=int(time.time()) + 3600),
    "an ID token": lambda auth: auth.forged(header={"typ": "JWT"}),
    "no client": lambda auth: auth.forged(client_id=None),
    "no end": lambda auth: auth.forged(exp=None),
    "cut short": lambda auth: auth.forged()[:-5],
    "long": lambda auth: auth.forged(jti="x" * 5000),
    "no token": lambda auth: "..",
}


@pytest.mark.parametrize("what", FOREIGN)
async def test_a_token_that_is_not_ours_administers_nothing_and_is_not_active(
    auth: Auth, what: str
) -> None:
    token = FOREIGN[what](auth)
    answer = await auth.http.get(CLIENTS, headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 401, answer.text
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert await auth.introspect(auth.administrator, token) == {"active": False}


async def test_one_that_is_as_ours_does(auth: Auth) -> None:
    headers = {"authorization": f"Bearer {auth.forged()}"}
    assert (await auth.http.get(CLIENTS, headers=headers)).status_code == 200


async def test_a_token_of_another_scope_is_told_which_one_it_takes(auth: Auth) -> None:
    answer = await auth.http.get(CLIENTS, headers=await auth.bearer(await auth.register()))
    assert answer.status_code == 403
    assert 'scope="clients:admin"' in answer.headers["www-authenticate"]


async def test_a_revoked_token_administers_nothing(auth: Auth) -> None:
    token = await auth.issued(auth.administrator)
    await auth.http.post("/oauth/revoke", data={"token": token}, auth=auth.administrator.basic)
    answer = await auth.http.get(CLIENTS, headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 401


async def test_ten_thousand_wrong_secrets_cost_no_bcrypt_and_keep_no_right_one_out(
    auth: Auth,
) -> None:
    client, cold = await auth.register(), await auth.register()
    assert (await auth.token(client)).status_code == 200
    hashed = auth.registry.get_sample_value("auth_secret_hashing_seconds_count")
    statuses: dict[int, int] = {}

    async def attack(part: int) -> None:
        for number in range(part, 10_000, 20):
            # The same client again and again, unknown ones, and one that has not been seen yet.
            name = (client.client_id, cold.client_id, f"nobody-{number}")[number % 3]
            answer = await auth.http.post(
                TOKEN, data={**GRANT, "client_id": name, "client_secret": f"wrong-{number}"}
            )
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            if answer.status_code == 429:
                assert int(answer.headers["retry-after"]) > 0

    attacking = asyncio.gather(*(attack(part) for part in range(20)))
    while not attacking.done():
        answer = await auth.token(client)
        assert answer.status_code == 200, answer.text
        await asyncio.sleep(0.5)
    await attacking
    assert auth.registry.get_sample_value("auth_secret_hashing_seconds_count") == hashed
    # Its first right secret comes when its wrong ones are used up, from the attacker's address.
    assert (await auth.token(cold)).status_code == 200
    assert set(statuses) == {401, 429}
    # What minutes of them allow, however slow the machine.
    assert statuses[429] > 5000


async def test_wrong_secrets_of_one_client_and_address_do_not_count_for_others(auth: Auth) -> None:
    client, other = await auth.register(), await auth.register()
    async with auth.from_elsewhere() as http:
        began, told = time.monotonic(), list[int]()
        while 429 not in told and len(told) < 100:
            wrong = (client.client_id, f"{len(told)}")
            told.append((await http.post(TOKEN, data=GRANT, auth=wrong)).status_code)
        # Ten a minute: those at once, and one more for each six seconds that this has taken.
        most = 10 + int((time.monotonic() - began) / 6)
        assert told[:10] == [401] * 10
        assert told[10:] == [401] * (len(told) - 11) + [429]
        assert len(told) <= most + 1
        assert (await http.post(TOKEN, data=GRANT, auth=(other.client_id, "w"))).status_code == 401


async def test_a_key_is_published_before_it_signs_and_as_long_as_its_tokens_last(
    auth: Auth,
) -> None:
    client = await auth.register()
    before = await auth.issued(client)
    auth.keys.add("k2")

    async def published() -> bool:
        keys = (await auth.http.get("/.well-known/jwks.json")).json()["keys"]
        return [key["kid"] for key in keys] == ["k1", "k2"]

    await eventually(published)
    assert kid(await auth.issued(client)) == "k1"
    auth.keys.activate("k2")

    async def signs() -> bool:
        return kid(await auth.issued(client)) == "k2"

    await eventually(signs)
    assert (await auth.introspect(client, before))["active"]
    (auth.keys.path / "k1.pem").unlink()

    async def gone() -> bool:
        return not (await auth.introspect(client, before))["active"]

    await eventually(gone)


@pytest.mark.parametrize("mistake", ["no active key", "a file that is no key", "nothing"])
async def test_keys_that_are_out_of_order_leave_those_that_were_read_in_use(
    auth: Auth, mistake: str
) -> None:
    client = await auth.register()
    match mistake:
        case "no active key":
            auth.keys.activate("k7")
        case "a file that is no key":
            (auth.keys.path / "k0.pem").write_text("no key")
        case _:
            for path in auth.keys.path.iterdir():
                path.unlink()
    await asyncio.sleep(1.1)  # it looks every second
    assert kid(await auth.issued(client)) == "k1"


async def test_while_the_database_is_away_known_clients_go_on_for_seconds_and_others_are_told(
    auth: Auth, auth_settings: AuthSettings, healthy_mysql: MySQLServer
) -> None:
    client = await auth.register()
    headers = await auth.bearer()
    assert (await auth.token(client)).status_code == 200

    async def ready() -> bool:
        return (await auth.http.get("/ready")).status_code == 200

    await eventually(ready)  # once the database has answered it within a second
    healthy_mysql.container.kill()

    async def told() -> bool:
        return (await auth.token(client)).status_code == 503

    await eventually(told)  # when what is known of it is too old
    for answer in (
        await auth.token(client),
        await auth.http.get(CLIENTS, headers=headers),
        await auth.http.post(
            "/oauth/introspect", data={"token": headers["authorization"][7:]},
            auth=auth.administrator.basic,
        ),
    ):  # fmt: skip
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2"), answer.text
    # What needs no database: the administrator's token, keys, metadata, and to be found.
    assert (await auth.token(auth.administrator)).status_code == 200
    for path in ("/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/ready"):
        assert (await auth.http.get(path)).status_code == 200
    healthy_mysql.container.start()

    async def back() -> bool:
        return (await auth.token(client)).status_code == 200

    await healthy_mysql.wait()
    await eventually(back)
    assert (await auth.http.get("/ready")).status_code == 200


async def test_neither_a_secret_nor_a_token_is_in_the_log(
    auth: Auth, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    client = await auth.register()
    token = await auth.issued(client)
    await auth.introspect(client, token)
    await auth.http.post("/oauth/revoke", data={"token": token}, auth=client.basic)
    await auth.token(Credentials(client.client_id, "wrong-secret"))
    said = capsys.readouterr().out + caplog.text
    assert client.client_id in said
    for secret in (client.secret, token, "wrong-secret", auth.administrator.secret):
        assert secret not in said
    for action in ("register", "token", "revoke"):
        assert f"'action': '{action}'" in said or f'"action": "{action}"' in said


def kid(token: str) -> Any:
    header = token.partition(".")[0]
    return json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
