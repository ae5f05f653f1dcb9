"""What the RFCs ask of the server, a row each: the section, what is sent, and the answer."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import httpx
import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

from tests.integration.auth_service.conftest import (
    GRANT,
    INTROSPECT,
    REVOKE,
    TOKEN,
    Auth,
    Credentials,
)

FORM = {"content-type": "application/x-www-form-urlencoded"}


class Row(NamedTuple):
    """`form` is the body, `basic` the header's credentials; {id}, {secret} and {token} are those
    of a client with the scopes data:read and data:write, {other} a token of another client."""

    rfc: str
    what: str
    path: str
    form: str
    basic: str | None
    status: int
    body: dict[str, Any]


BASIC = "{id}:{secret}"
CC = "grant_type=client_credentials"
INVALID = {"error": "invalid_request"}
WRONG = {"error": "invalid_client"}
BOTH = "data:read data:write"

TABLE = [
    Row("6749 2.3.1", "Basic", TOKEN, CC, BASIC, 200, {"token_type": "Bearer"}),
    Row("6749 2.3.1", "credentials in the form", TOKEN,
        CC + "&client_id={id}&client_secret={secret}", None, 200, {"expires_in": 600}),
    Row("6749 2.3", "both ways at once", TOKEN, CC + "&client_secret={secret}", BASIC, 400,
        INVALID),
    Row("6749 2.3", "the client_id twice, the same", TOKEN, CC + "&client_id={id}", BASIC, 200, {}),
    Row("6749 2.3", "another client_id", TOKEN, CC + "&client_id=me", BASIC, 400, INVALID),
    Row("6749 3.2", "a parameter twice", TOKEN, f"{CC}&{CC}", BASIC, 400, INVALID),
    Row("6749 3.2", "an unknown parameter", TOKEN, CC + "&shoe=43", BASIC, 200, {}),
    Row("6749 3.2", "a parameter without a value", TOKEN, CC + "&scope=", BASIC, 200,
        {"scope": BOTH}),
    Row("6749 3.3", "no scope: all", TOKEN, CC, BASIC, 200, {"scope": BOTH}),
    Row("6749 3.3", "a part of the scopes", TOKEN, CC + "&scope=data:read", BASIC, 200,
        {"scope": "data:read"}),
    Row("6749 3.3", "in any order", TOKEN, CC + "&scope=data:write+data:read", BASIC, 200,
        {"scope": BOTH}),
    Row("6749 4.4.3", "no refresh token", TOKEN, CC, BASIC, 200, {"refresh_token": None}),
    Row("6749 5.2", "no grant_type", TOKEN, "scope=data:read", BASIC, 400, INVALID),
    Row("6749 5.2", "another grant", TOKEN, "grant_type=password", BASIC, 400,
        {"error": "unsupported_grant_type"}),
    Row("6749 5.2", "a grant that cannot be repeated", TOKEN, "grant_type=%22%C3%BC%0A", BASIC, 400,
        {"error": "unsupported_grant_type"}),
    Row("6749 5.2", "a scope of others", TOKEN, CC + "&scope=clients:admin", BASIC, 400,
        {"error": "invalid_scope"}),
    Row("6749 5.2", "a scope that is none", TOKEN, CC + "&scope=%C3%BC", BASIC, 400,
        {"error": "invalid_scope"}),
    Row("6749 5.2", "no credentials", TOKEN, CC, None, 401, WRONG),
    Row("6749 5.2", "a wrong secret", TOKEN, CC, "{id}:wrong", 401, WRONG),
    Row("6749 5.2", "an unknown client", TOKEN, CC, "nobody:{secret}", 401, WRONG),
    Row("6749 5.2", "no secret", TOKEN, CC, "{id}:", 401, WRONG),
    Row("6749 5.2", "a secret longer than any", TOKEN, CC, "{id}:" + "x" * 600, 401, WRONG),
    Row("6749 5.2", "a secret with NUL", TOKEN, CC, "{id}:%00", 401, WRONG),
    Row("6749 B", "no UTF-8", TOKEN, CC + "&scope=%ff", BASIC, 400, INVALID),
    Row("7662 2.1", "no token", INTROSPECT, "token_type_hint=access_token", BASIC, 400, INVALID),
    Row("7662 2.1", "no credentials", INTROSPECT, "token={token}", None, 401, WRONG),
    Row("7662 2.1", "a hint that is wrong", INTROSPECT,
        "token={token}&token_type_hint=refresh_token", BASIC, 200, {"active": True}),
    Row("7662 2.2", "active", INTROSPECT, "token={token}", BASIC, 200,
        {"active": True, "client_id": "{id}", "sub": "{id}", "scope": BOTH, "aud": "millrace",
         "iss": "http://auth.test", "token_type": "Bearer"}),
    Row("7662 2.2", "no token at all", INTROSPECT, "token=nonsense", BASIC, 200, {"active": False}),
    Row("7662 2.2", "another client's", INTROSPECT, "token={other}", BASIC, 200, {"active": False}),
    Row("7009 2.1", "no token", REVOKE, "token_type_hint=access_token", BASIC, 400, INVALID),
    Row("7009 2.1", "no credentials", REVOKE, "token={token}", None, 401, WRONG),
    Row("7009 2.1", "another client's", REVOKE, "token={other}", BASIC, 400,
        {"error": "invalid_grant"}),
    Row("7009 2.1", "a hint that is unknown", REVOKE, "token={token}&token_type_hint=x", BASIC, 200,
        {}),
    Row("7009 2.2", "a token", REVOKE, "token={token}", BASIC, 200, {}),
    Row("7009 2.2", "an unknown token", REVOKE, "token=nonsense", BASIC, 200, {}),
]  # fmt: skip


@pytest.fixture
async def known(auth: Auth) -> dict[str, str]:
    client, other = await auth.register(BOTH), await auth.register("data:read")
    return {
        "id": client.client_id,
        "secret": client.secret,
        "token": await auth.issued(client),
        "other": await auth.issued(other),
    }


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"RFC {row.rfc}: {row.path}, {row.what}")
async def test_the_answer_is_as_the_rfc_has_it(auth: Auth, known: dict[str, str], row: Row) -> None:
    headers = dict(FORM)
    if row.basic is not None:
        joined = _filled(row.basic, known).encode()
        headers["authorization"] = f"Basic {base64.b64encode(joined).decode()}"
    answer = await auth.http.post(row.path, content=_filled(row.form, known), headers=headers)
    assert answer.status_code == row.status, answer.text
    body = answer.json()
    assert {name: body.get(name) for name in row.body} == {
        name: _filled(value, known) if isinstance(value, str) else value
        for name, value in row.body.items()
    }
    # RFC 6749, 5.1 and 5.2, of every answer.
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    assert ("www-authenticate" in answer.headers) == (row.status == 401)
    described = body.get("error_description", "")
    assert all(" " <= one <= "~" and one not in '"\\' for one in described)


def _filled(text: str, known: dict[str, str]) -> str:
    for name, value in known.items():
        text = text.replace(f"{{{name}}}", value)
    return text


async def test_rfc_6749_2_3_1_id_and_secret_are_form_encoded_inside_basic(auth: Auth) -> None:
    client = await auth.register()
    escaped = "".join(f"%{ord(one):02x}" for one in client.client_id)
    strange = base64.b64encode(f"{escaped}:{quote_plus(client.secret)}".encode()).decode()
    answer = await auth.http.post(TOKEN, data=GRANT, headers={"authorization": f"basic {strange}"})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "send",
    [
        lambda auth: auth.http.post(TOKEN, json=GRANT),
        lambda auth: auth.http.post(TOKEN, params=GRANT),
        lambda auth: auth.http.post(TOKEN, content=b"\xff\xfe", headers=FORM),
    ],
    ids=["JSON", "in the query", "no text"],
)
async def test_rfc_6749_3_2_parameters_are_taken_from_a_form_only(
    auth: Auth, send: Callable[[Auth], Awaitable[httpx.Response]]
) -> None:
    answer = await send(auth)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_rfc_6749_3_2_only_post_gets_a_token(auth: Auth) -> None:
    answer = await auth.http.get(TOKEN)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "header", ["Bearer x", "Basic", "Basic !", "Basic bm9jb2xvbg==", "Basic /w=="]
)
async def test_rfc_6749_5_2_what_is_no_basic_is_no_client(auth: Auth, header: str) -> None:
    answer = await auth.http.post(TOKEN, data=GRANT, headers={"authorization": header})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic realm=")


async def test_rfc_7009_2_2_a_revoked_token_is_not_active_any_more(
    auth: Auth, known: dict[str, str]
) -> None:
    client = Credentials(known["id"], known["secret"])
    for _ in range(2):
        answer = await auth.http.post(REVOKE, data={"token": known["token"]}, auth=client.basic)
        assert (answer.status_code, answer.json()) == (200, {})
        assert await auth.introspect(client, known["token"]) == {"active": False}


async def test_rfc_7662_2_2_a_token_of_a_client_that_was_deactivated_is_not_active(
    auth: Auth, known: dict[str, str]
) -> None:
    assert (await auth.introspect(auth.administrator, known["token"]))["active"]
    path = f"/oauth/clients/{known['id']}"
    assert (await auth.http.delete(path, headers=await auth.bearer())).status_code == 204
    assert await auth.introspect(auth.administrator, known["token"]) == {"active": False}


async def test_rfc_8414_the_metadata_is_whole_and_says_what_there_is(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = await auth.http.get("/.well-known/oauth-authorization-server")
    told = answer.json()
    assert (answer.status_code, told["issuer"]) == (200, "http://auth.test")
    # The library insists on TLS and on response types, which a server without an authorization
    # endpoint has none of.
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    secure = {
        name: value.replace("http:", "https:") if isinstance(value, str) else value
        for name, value in told.items()
    }
    AuthorizationServerMetadata(secure | {"response_types_supported": ["none"]}).validate()
    for name in ("token_endpoint", "introspection_endpoint", "revocation_endpoint"):
        path = told[name].removeprefix(told["issuer"])
        assert (await auth.http.post(path, headers=FORM)).status_code == 401
    keys = (await auth.http.get(told["jwks_uri"].removeprefix(told["issuer"]))).json()["keys"]
    assert [(key["kid"], key["alg"], key["use"], "d" in key) for key in keys] == [
        ("k1", "ES256", "sig", False)
    ]
