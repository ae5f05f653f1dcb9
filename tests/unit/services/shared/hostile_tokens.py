"""Every kind of token that must be refused, with the reason that is due."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

from joserfc import jwe, jws, jwt
from joserfc.jwk import OctKey, RSAKey

from tests.harness.issuer import Issuer, new_key, part


def _forged(issuer: Issuer, algorithm: str, key: Any) -> str:
    header = {"typ": "at+jwt", "alg": algorithm, "kid": "first"}
    return jwt.encode(header, issuer.claims(), key, algorithms=[algorithm])


def _with_the_public_key_as_a_secret(issuer: Issuer) -> str:
    pem = issuer.keys["first"].as_pem(private=False)
    header, claims = {"typ": "at+jwt", "alg": "HS256", "kid": "first"}, issuer.claims()
    text = f"{part(header)}.{part(claims)}"
    return f"{text}.{part(hmac.digest(pem, text.encode(), hashlib.sha256))}"


def _by_hand(header: Any, payload: Any, signature: bytes = b"x" * 64) -> str:
    return f"{part(header)}.{part(payload)}.{part(signature)}"


def _with_another_payload(issuer: Issuer) -> str:
    head, _, signature = issuer.token("data:read").split(".")
    return f"{head}.{part(issuer.claims())}.{signature}"


def signed(issuer: Issuer, payload: bytes) -> str:
    header = {"typ": "at+jwt", "alg": "ES256", "kid": "first"}
    return jws.serialize_compact(header, payload, issuer.keys["first"])


def _with_a_foreign_key(issuer: Issuer, **header: Any) -> str:
    foreign = new_key("first")
    full = {"typ": "at+jwt", "alg": "ES256", "kid": "first", **header}
    if "jwk" in full:
        full["jwk"] = foreign.as_dict(private=False)
    return jwt.encode(full, issuer.claims(), foreign)


def _encrypted(issuer: Issuer) -> str:
    header = {"typ": "at+jwt", "alg": "dir", "enc": "A128GCM", "kid": "first"}
    return jwe.encrypt_compact(header, b"{}", OctKey.generate_key(128))


def from_now(seconds: float = 0) -> int:
    return int(time.time() + seconds)


HEADER = {"typ": "at+jwt", "alg": "ES256", "kid": "first"}

HOSTILE: dict[str, tuple[str, Callable[[Issuer], str]]] = {
    "none": ("malformed", lambda i: f"{part(HEADER | {'alg': 'none'})}.{part(i.claims())}."),
    "none with a signature": (
        "algorithm",
        lambda i: _by_hand(HEADER | {"alg": "none"}, i.claims()),
    ),
    "None": ("algorithm", lambda i: _by_hand(HEADER | {"alg": "nOnE"}, i.claims())),
    "HS256 with the public key": ("algorithm", _with_the_public_key_as_a_secret),
    "HS256 with an empty key": (
        "algorithm",
        lambda i: _forged(i, "HS256", OctKey.import_key("0" * 32)),
    ),
    "RS256": ("algorithm", lambda i: _forged(i, "RS256", RSAKey.generate_key(2048))),
    "alg missing": ("algorithm", lambda i: _by_hand({"typ": "at+jwt", "kid": "first"}, i.claims())),
    "alg a list": ("algorithm", lambda i: _by_hand(HEADER | {"alg": ["ES256"]}, i.claims())),
    "a foreign key by our kid": ("signature", _with_a_foreign_key),
    "a foreign key that it brings along": ("signature", lambda i: _with_a_foreign_key(i, jwk=True)),
    "a foreign key somewhere": ("signature", lambda i: _with_a_foreign_key(i, jku="http://x/keys")),
    "a kid of nobody": (
        "unknown_key",
        lambda i: _by_hand(HEADER | {"kid": "../first"}, i.claims()),
    ),
    "no kid": ("malformed", lambda i: _by_hand({"typ": "at+jwt", "alg": "ES256"}, i.claims())),
    "a kid that is no text": (
        "malformed",
        lambda i: _by_hand(HEADER | {"kid": {"a": 1}}, i.claims()),
    ),
    "critical header": ("malformed", lambda i: _by_hand(HEADER | {"crit": ["exp"]}, i.claims())),
    "unencoded payload": ("malformed", lambda i: _by_hand(HEADER | {"b64": False}, i.claims())),
    "an ID token": ("type", lambda i: i.token(header={"typ": "JWT"})),
    "no typ": ("type", lambda i: _by_hand({"alg": "ES256", "kid": "first"}, i.claims())),
    "another payload under the signature": ("signature", _with_another_payload),
    "signature of zeros": ("signature", lambda i: _by_hand(HEADER, i.claims(), bytes(64))),
    "signature too short": ("signature", lambda i: _by_hand(HEADER, i.claims(), b"x")),
    "another issuer": ("issuer", lambda i: i.token(iss="http://elsewhere.example")),
    "the issuer with a slash": ("issuer", lambda i: i.token(iss="http://issuer.example/")),
    "no issuer": ("issuer", lambda i: i.token(iss=None)),
    "another audience": ("audience", lambda i: i.token(aud="others")),
    "other audiences": ("audience", lambda i: i.token(aud=["others", "millrace2"])),
    "no audience": ("audience", lambda i: i.token(aud=None)),
    "audience a part of ours": ("audience", lambda i: i.token(aud="mill")),
    "ended": ("expired", lambda i: i.token(exp=from_now(-6))),
    "without an end": ("claims", lambda i: i.token(exp=None)),
    "ends as text": ("claims", lambda i: i.token(exp="9999999999")),
    "ends never": ("claims", lambda i: i.token(exp=10**30)),
    "ends by a truth": ("claims", lambda i: i.token(exp=True)),
    "issued tomorrow": (
        "not_yet_valid",
        lambda i: i.token(iat=from_now(86_400), exp=from_now(90_000)),
    ),
    "not before tomorrow": ("not_yet_valid", lambda i: i.token(nbf=from_now(86_400))),
    "of no client": ("claims", lambda i: i.token(client_id=None)),
    "a client with a line break": ("claims", lambda i: i.token(client_id="a\nb")),
    "scope a list": ("claims", lambda i: i.token(scope=["data:read"])),
    "payload a list": ("claims", lambda i: signed(i, b"[]")),
    "payload a token": ("claims", lambda i: signed(i, i.token().encode())),
    "payload nested": ("claims", lambda i: signed(i, b"[" * 1200)),
    "payload not a number": (
        "claims",
        lambda i: signed(i, json.dumps(i.claims() | {"exp": float("nan")}).encode()),
    ),
    "encrypted": ("malformed", _encrypted),
    "header nested": ("malformed", lambda i: f"{part(b'[' * 1200)}.e30.AA"),
    "header a list": ("malformed", lambda i: f"{part([])}.e30.AA"),
    "two parts": ("malformed", lambda i: i.token().rpartition(".")[0]),
    "four parts": ("malformed", lambda i: i.token() + ".e30"),
    "padding": ("malformed", lambda i: i.token() + "="),
    "a space within": ("malformed", lambda i: i.token().replace(".", ". ", 1)),
    "two tokens": ("malformed", lambda i: f"{i.token()}, Bearer {i.token()}"),
    "nothing": ("malformed", lambda i: ""),
    "noise": ("malformed", lambda i: "\u00ff" * 40),
    "too large": ("too_large", lambda i: i.token(more="x" * 4000)),
}
