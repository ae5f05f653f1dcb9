"""Tokens that are taken, and every kind that is not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from services.contracts.scopes import DATA_READ, DATA_WRITE
from tests.harness.issuer import Issuer
from tests.unit.services.shared.auth_world import Guarded, guarded_by
from tests.unit.services.shared.hostile_tokens import HOSTILE, from_now, signed


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        yield running


@pytest.fixture
async def guarded(issuer: Issuer) -> AsyncIterator[Guarded]:
    async with guarded_by(issuer) as made:
        yield made


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("path", ["/direct", "/framed"])
async def test_a_hostile_token_is_401_with_its_reason_and_never_remembered(
    guarded: Guarded, kind: str, path: str
) -> None:
    reason, make = HOSTILE[kind]
    authorization = f"Bearer {make(guarded.issuer)}".encode("latin-1")
    for _ in range(2):
        answer = await guarded.http.get(path, headers={b"Authorization": authorization})
        assert answer.status_code == 401, (kind, answer.text)
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith('Bearer realm="millrace", error="invalid_token", error_desc')
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "urn:millrace:problem:invalid-token"
    assert guarded.refused(reason) == 2
    labels = {"method": "GET", "route": path, "status": "401"}
    assert guarded.registry.get_sample_value("http_requests_total", labels) == 2
    assert guarded.registry.get_sample_value("auth_tokens_remembered") == 0


@pytest.mark.parametrize("path", ["/direct", "/framed"])
async def test_who_shows_no_token_is_told_where_to_get_one(guarded: Guarded, path: str) -> None:
    for headers in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": ""}):
        answer = await guarded.http.get(path, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (
            401,
            'Bearer realm="millrace"',
        )
        assert "http://issuer.example/oauth/token" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/direct", "/framed"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": ["others", "millrace"]},
        {"scope": "x data:read y"},
        {"header": {"typ": "application/at+JWT"}},
        {"nbf": from_now()},
        {"exp": from_now(3600) + 0.5},
    ],
)
async def test_a_good_token_is_verified_once_and_then_remembered(
    guarded: Guarded, path: str, changes: dict[str, Any]
) -> None:
    token = guarded.issuer.token(**changes)
    for _ in range(3):
        assert (await guarded.get(token, path)).status_code == 200
    assert (guarded.accepted("signature"), guarded.accepted("memory")) == (1, 2)


async def test_the_scheme_is_read_in_any_case(guarded: Guarded) -> None:
    for scheme in ("bearer", "BEARER", "Bearer  "):
        headers = {"Authorization": f"{scheme} {guarded.issuer.token()}"}
        assert (await guarded.http.get("/direct", headers=headers)).status_code == 200


async def test_a_second_authorization_header_spoils_the_first(guarded: Guarded) -> None:
    good = ("Authorization", f"Bearer {guarded.issuer.token()}")
    assert (await guarded.http.get("/direct", headers=[good])).status_code == 200
    for other in (good, ("Authorization", "Bearer x")):
        answer = await guarded.http.get("/direct", headers=[good, other])
        assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/direct", "/framed"])
@pytest.mark.parametrize("scope", [DATA_READ, "data:writer", "", None])
async def test_a_token_for_something_else_is_403_and_names_the_scope_that_is_due(
    guarded: Guarded, path: str, scope: str | None
) -> None:
    claims = guarded.issuer.claims(scope)
    if scope is None:
        del claims["scope"]
    token = signed(guarded.issuer, json.dumps(claims).encode())
    for _ in range(2):  # by its signature, then from memory
        headers = {"Authorization": f"Bearer {token}"}
        answer = await guarded.http.post(path, content=b"{}", headers=headers)
        assert answer.status_code == 403
        challenge = answer.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in challenge
        assert f'scope="{DATA_WRITE}"' in challenge
        assert answer.json()["type"] == "urn:millrace:problem:insufficient-scope"
    assert guarded.refused("scope") == 2


async def test_the_memory_is_bounded(issuer: Issuer) -> None:
    async with guarded_by(issuer, remembered=3) as guarded:
        tokens = [issuer.token(jti=str(n)) for n in range(5)]
        for token in [*tokens, tokens[-1], tokens[0]]:
            assert (await guarded.get(token)).status_code == 200
        assert guarded.registry.get_sample_value("auth_tokens_remembered") == 3
        assert (guarded.accepted("signature"), guarded.accepted("memory")) == (6, 1)


async def test_a_clock_that_steps_across_the_end_of_a_remembered_token_ends_it_and_back_not(
    guarded: Guarded,
) -> None:
    began = from_now()  # and there the clock stands: a token's times are whole seconds
    guarded.clock.day = lambda: began
    token = guarded.issuer.token(iat=began, exp=began + 60)
    statuses: list[int] = []
    for off in (0, 64, 66, 0, -3, -3600, 0, 40_000, 59):
        guarded.clock.off = off
        statuses.append((await guarded.get(token)).status_code)
    assert statuses == [200, 200, 401, 200, 200, 401, 200, 401, 200]
    assert (guarded.refused("expired"), guarded.refused("not_yet_valid")) == (2, 1)
