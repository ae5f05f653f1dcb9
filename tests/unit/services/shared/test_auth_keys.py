"""Where keys come from, how long they stay, and what that means for tokens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from services.shared.auth.published import KeySetError, fetch, read
from services.shared.auth.settings import AuthenticationSettings
from services.shared.auth.wiring import guarded as wired
from services.shared.runtime import logging
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import SettingsError, load
from tests.harness.issuer import ISSUER, Issuer
from tests.unit.services.shared.auth_world import Guarded, guarded_by
from tests.unit.services.shared.hostile_tokens import HOSTILE


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        yield running


@pytest.fixture
async def guarded(issuer: Issuer) -> AsyncIterator[Guarded]:
    async with guarded_by(issuer) as made:
        yield made


async def look(guarded: Guarded) -> None:
    """What the background does."""
    looking = asyncio.create_task(guarded.keys.keep_fresh(0.01))
    asked = guarded.issuer.asked
    async with asyncio.timeout(60):
        while guarded.issuer.asked < asked + 2:  # the first look is over then
            await asyncio.sleep(0.01)
    looking.cancel()
    await asyncio.wait({looking})


async def test_tokens_go_on_through_an_outage_of_their_issuer_new_and_remembered(
    guarded: Guarded,
) -> None:
    seen, unseen = guarded.issuer.token(), guarded.issuer.token(jti="another")
    assert (await guarded.get(seen)).status_code == 200
    guarded.issuer.stop()
    for token in (seen, unseen):
        assert (await guarded.get(token)).status_code == 200


@pytest.mark.parametrize(
    "answer",
    [(500, b""), (200, b"{"), (200, b'{"keys": []}'), (200, b"[" * 9000), (302, b""),
     (200, b'{"keys": [{"kty": "oct", "k": "AAAA", "kid": "first"}]}'), (200, b" " * 100_000)],
)  # fmt: skip
async def test_an_answer_that_holds_no_keys_takes_none_away(
    guarded: Guarded, answer: tuple[int, bytes]
) -> None:
    assert (await guarded.get(guarded.issuer.token())).status_code == 200
    guarded.issuer.answer = answer
    await look(guarded)
    assert (await guarded.get(guarded.issuer.token(jti="another"))).status_code == 200


async def test_a_new_process_answers_503_at_once_while_no_keys_were_ever_had_then_recovers(
    guarded: Guarded,
) -> None:
    token = guarded.issuer.token()
    guarded.issuer.stop()
    for _ in range(3):
        answer = await guarded.get(token)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert answer.json()["type"] == "urn:millrace:problem:no-keys"
        assert (await guarded.get(None)).status_code == 401  # no keys are needed for that
    guarded.issuer.start()
    await look(guarded)
    assert (await guarded.get(token)).status_code == 200


async def test_a_key_is_believed_while_it_is_published_and_its_tokens_end_with_it(
    guarded: Guarded,
) -> None:
    old = guarded.issuer.token()
    assert (await guarded.get(old)).status_code == 200
    guarded.issuer.add("second")
    new = guarded.issuer.token(key="second")
    for token in (new, old, new):  # found at once, without a look in between
        assert (await guarded.get(token)).status_code == 200
    await look(guarded)
    assert (await guarded.get(old)).status_code == 200, "the look before, and it stays remembered"
    assert guarded.accepted("memory") >= 2
    guarded.issuer.published.remove("first")
    await look(guarded)
    assert (await guarded.get(new)).status_code == 200
    assert (await guarded.get(old)).status_code == 401
    assert guarded.refused("unknown_key") == 1


async def test_a_key_that_is_replaced_under_its_name_ends_the_tokens_of_the_old_one(
    guarded: Guarded,
) -> None:
    old = guarded.issuer.token()
    assert (await guarded.get(old)).status_code == 200
    guarded.issuer.published.clear()
    guarded.issuer.add("first")
    await look(guarded)
    assert (await guarded.get(old)).status_code == 401
    assert (await guarded.get(guarded.issuer.token())).status_code == 200


async def test_names_of_no_key_load_the_issuer_once_however_many_there_are(
    issuer: Issuer,
) -> None:
    async with guarded_by(issuer, apart=0.5) as guarded:
        assert (await guarded.get(issuer.token())).status_code == 200
        issuer.add("later")
        issuer.published.remove("later")
        unknown = [issuer.token(key="later", jti=str(n)) for n in range(50)]
        before = issuer.asked
        answers = await asyncio.gather(*(guarded.get(token) for token in unknown))
        assert {answer.status_code for answer in answers} == {401}
        assert issuer.asked == before + 1


async def test_the_body_is_not_read_of_who_is_not_let_in(guarded: Guarded) -> None:
    read: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"x" * 1_000_000

    for path in ("/direct", "/framed"):
        answer = await guarded.http.post(path, content=body())
        assert answer.status_code == 401
    assert read == []


async def test_no_token_comes_into_a_log_line_and_the_client_does(
    guarded: Guarded, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.configure("test", "DEBUG")
    try:
        tokens = [make(guarded.issuer) for _, make in HOSTILE.values()]
        for token in [*tokens, guarded.issuer.token(), guarded.issuer.token()]:
            headers = {b"Authorization": b"Bearer " + token.encode("latin-1")}
            for path in ("/direct", "/framed"):
                await guarded.http.get(path, headers=headers)
    finally:
        logging.configure("tests", "WARNING")
    lines = capsys.readouterr().out
    parts = {part for token in tokens for part in token.split(".") if len(part) > 10}
    assert len(parts) > 20
    assert not [part for part in parts if part in lines]
    taken = [json.loads(line) for line in lines.splitlines() if '"status": 200' in line]
    assert {line.get("client_id") for line in taken} == {"tester"}
    refused = [json.loads(line) for line in lines.splitlines() if '"status": 401' in line]
    assert refused
    assert {line.get("client_id") for line in refused} == {None}


def test_only_public_parts_of_keys_for_our_signatures_are_read() -> None:
    issuer = Issuer("one")
    one = issuer.keys["one"].as_dict(private=True)
    others = [None, {}, {"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB"}]
    others += [one | {"use": "enc"}, one | {"alg": "ES384"}, one | {"kid": ""}, one | {"kid": 1}]
    others += [one | {"x": "AAAA"}, {k: v for k, v in one.items() if k != "y"}]
    with pytest.raises(KeySetError, match="no key for ES256"):
        read(json.dumps({"keys": others}).encode())
    found = read(json.dumps({"keys": [*others, one]}).encode())
    assert list(found) == ["one"]
    assert not found["one"].public.is_private


def test_a_redirect_or_a_proxy_of_the_environment_is_not_followed(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    assert list(fetch(issuer.jwks_url, 60)) == ["first"]


async def test_without_tokens_everybody_is_let_in_and_the_log_says_so_loudly(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logging.configure("test", "WARNING")
    async with wired(AuthenticationSettings(mode="off"), new_registry()) as guard:
        assert guard is None
    assert "authentication_is_off" in capsys.readouterr().out


def test_required_is_the_default_and_names_every_variable_that_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AUTH_MODE", "AUTH_ISSUER", "AUTH_JWKS_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError, match=r"AUTH_ISSUER: .*not set(.|\n)*AUTH_JWKS_URL: "):
        load(AuthenticationSettings)
    monkeypatch.setenv("AUTH_MODE", "off")
    assert load(AuthenticationSettings).issuer is None
    monkeypatch.setenv("AUTH_MODE", "Off")
    with pytest.raises(SettingsError, match="AUTH_MODE"):
        load(AuthenticationSettings)


async def test_the_keys_are_there_soon_after_the_start_without_any_request(issuer: Issuer) -> None:
    settings = AuthenticationSettings(issuer=ISSUER, jwks_url=issuer.jwks_url)
    registry = new_registry()
    async with wired(settings, registry), asyncio.timeout(60):
        while registry.get_sample_value("auth_keys") != 1:
            await asyncio.sleep(0.01)
        assert (registry.get_sample_value("auth_keys_fetched_timestamp_seconds") or 0) > 0
    assert httpx.get(issuer.jwks_url, timeout=60).status_code == 200
