"""How a client is told that its token does not do (RFC 6750, section 3)."""

from __future__ import annotations

from typing import Final, Literal

from services.shared.http.problem import ProblemError

_REALM: Final = 'Bearer realm="millrace"'

Invalid = Literal[
    "too_large",
    "malformed",
    "algorithm",
    "type",
    "unknown_key",
    "signature",
    "issuer",
    "audience",
    "expired",
    "not_yet_valid",
    "claims",
]
Reason = Literal["no_token", "no_keys", "scope"] | Invalid

SAID: Final[dict[Invalid, str]] = {
    "too_large": "the token is too large to be one of ours",
    "malformed": "the Authorization header holds no token of ours",
    "algorithm": "the token is not signed with ES256",
    "type": "this is no access token: its typ is not at+jwt",
    "unknown_key": "the token is signed with a key that is not published",
    "signature": "the signature does not belong to the token",
    "issuer": "the token is from another issuer",
    "audience": "the token is for another audience",
    "expired": "the token has expired",
    "not_yet_valid": "the token is not valid yet; is a clock wrong?",
    "claims": "the token lacks a claim of RFC 9068, or has it in a form that is not its own",
}
"""What is wrong with a token that is not valid. Nothing of the token itself."""


class TokenError(Exception):
    """A token is refused."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def no_token(token_url: str) -> ProblemError:
    """401 for who shows none: no error code, for nothing is wrong with it."""
    return ProblemError(
        401,
        "no-token",
        f"this takes a token: get one at {token_url} and send it as Authorization: Bearer",
        headers={"WWW-Authenticate": _REALM},
    )


def invalid(reason: Invalid) -> ProblemError:
    """401 for a token that will not become valid by asking again."""
    said = SAID[reason]
    challenge = f'{_REALM}, error="invalid_token", error_description="{said}"'
    return ProblemError(
        401,
        "invalid-token",
        f"{said}; get another one",
        headers={"WWW-Authenticate": challenge},
    )


def insufficient(scope: str) -> ProblemError:
    """403: the token is good for something else."""
    said = f"the token is not for {scope}"
    challenge = f'{_REALM}, error="insufficient_scope", error_description="{said}", scope="{scope}"'
    return ProblemError(
        403,
        "insufficient-scope",
        f"{said}; ask for one with this scope, if the client may have it",
        headers={"WWW-Authenticate": challenge},
    )


def no_keys(retry_after: int = 2) -> ProblemError:
    """503: nobody's token can be judged yet."""
    return ProblemError(
        503,
        "no-keys",
        "the keys of the authorization server have not been seen yet, so no token can be"
        f" verified; try again after {retry_after} s",
        headers={"Retry-After": str(retry_after)},
    )
