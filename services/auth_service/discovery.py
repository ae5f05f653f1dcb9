"""What everybody may read: the server's metadata (RFC 8414) and its public keys (RFC 7517)."""

from __future__ import annotations

from typing import Any, Final

from pydantic_core import to_json

from services.auth_service.keys import SigningKeys
from services.contracts.scopes import SCOPES
from services.shared.http.direct import Call, Reply

METADATA: Final = "/.well-known/oauth-authorization-server"
JWKS: Final = "/.well-known/jwks.json"
TOKEN: Final = "/oauth/token"  # noqa: S105 - a path
INTROSPECT: Final = "/oauth/introspect"
REVOKE: Final = "/oauth/revoke"

_METHODS: Final = ["client_secret_basic", "client_secret_post"]
_CACHED = ((b"cache-control", b"public, max-age=60"),)
"""So long may a key be signing already that a cache does not have: publish it before."""


def metadata(issuer: str) -> dict[str, Any]:
    """The document of RFC 8414."""
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}{TOKEN}",
        "token_endpoint_auth_methods_supported": _METHODS,
        "jwks_uri": f"{issuer}{JWKS}",
        "scopes_supported": list(SCOPES),
        # There is no authorization endpoint, and so nothing to answer there.
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "introspection_endpoint": f"{issuer}{INTROSPECT}",
        "introspection_endpoint_auth_methods_supported": _METHODS,
        "revocation_endpoint": f"{issuer}{REVOKE}",
        "revocation_endpoint_auth_methods_supported": _METHODS,
    }


class Discovery:
    """Needs no database."""

    def __init__(self, issuer: str, keys: SigningKeys) -> None:
        self._metadata = to_json(metadata(issuer))
        self._keys = keys

    async def metadata(self, _call: Call) -> Reply:
        return Reply(200, self._metadata, _CACHED)

    async def jwks(self, _call: Call) -> Reply:
        return Reply(200, to_json(self._keys.now().published), _CACHED)
