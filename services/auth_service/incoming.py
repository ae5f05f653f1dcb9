"""What clients send: a form, and their credentials in it or in HTTP Basic (RFC 6749, 2.3.1)."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote_plus

from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError

from services.shared.http.incoming import Fields

_FORM = b"application/x-www-form-urlencoded"
_MOST_FIELDS = 50
_LONGEST = 512
"""Of a client id and of a secret: what is longer was never one of ours."""


class Presented(NamedTuple):
    """Credentials as they came."""

    client_id: str
    secret: str


def read_form(fields: Fields, body: bytes) -> dict[str, str]:
    """Parameters by name; one without a value counts as not sent (RFC 6749, 3.2).

    Raises InvalidRequestError.
    """
    media_type = fields.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media_type != _FORM:
        raise InvalidRequestError("send the parameters as application/x-www-form-urlencoded")
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise InvalidRequestError(
            "the body is no form of UTF-8 text, or has too many fields"
        ) from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise InvalidRequestError("a parameter was sent more than once")
    return {name: value for name, value in form.items() if value}


def read_credentials(fields: Fields, form: dict[str, str]) -> Presented:
    """Raises InvalidRequestError for more than one way at once, InvalidClientError for none."""
    header = fields.get(b"authorization")
    client_id, secret = form.get("client_id"), form.get("client_secret")
    if header is None:
        if not client_id or not secret:
            raise InvalidClientError("send client id and secret by HTTP Basic or in the form")
        return _bounded(client_id, secret)
    if secret:
        raise InvalidRequestError("send the credentials one way: by HTTP Basic or in the form")
    given = _bounded(*_basic(header))
    if client_id and client_id != given.client_id:
        raise InvalidRequestError("the form has another client_id than HTTP Basic")
    return given


def _basic(header: bytes) -> tuple[str, str]:
    scheme, _, token = header.partition(b" ")
    if scheme.lower() != b"basic":
        raise InvalidClientError("the Authorization header is not of the scheme Basic")
    try:
        decoded = base64.b64decode(token.strip(), validate=True).decode()
        # Both are form-encoded before they are joined: an id may hold a colon.
        first, colon, second = decoded.partition(":")
        client_id, secret = (unquote_plus(part, errors="strict") for part in (first, second))
    except (binascii.Error, UnicodeDecodeError):
        colon = client_id = secret = ""
    if not (colon and client_id and secret):
        raise InvalidClientError("the Authorization header holds no client id and secret")
    return client_id, secret


def _bounded(client_id: str, secret: str) -> Presented:
    if max(len(client_id), len(secret)) > _LONGEST:
        raise InvalidClientError("unknown client, or wrong secret")
    return Presented(client_id, secret)
