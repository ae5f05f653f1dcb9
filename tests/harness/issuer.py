"""An authorization server as the services see one: keys over real HTTP, and tokens."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from joserfc import jwt
from joserfc.jwk import ECKey

from services.contracts.scopes import SCOPES
from services.shared.auth.settings import AuthenticationSettings

ISSUER = "http://issuer.example"
AUDIENCE = "millrace"


def part(value: Any) -> str:
    """A part of a token, by hand."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


class Issuer:
    """Serves its key set while it is entered. `published` may be changed, and `answer` set."""

    def __init__(self, *kids: str) -> None:
        self.keys = {kid: new_key(kid) for kid in kids or ("first",)}
        self.published = list(self.keys)
        self.answer: tuple[int, bytes] | None = None
        """In place of the key set."""
        self.asked = 0
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                status, body = issuer.answer or (200, issuer.key_set())
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Nobody reads it."""

        self._handler = Handler
        self._port = 0
        self._held: socket.socket | None = None
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._held is not None:
            self._held.close()

    def start(self) -> None:
        """Serve, after a stop at the same port."""
        if self._held is None:
            # Bound and never listening: while this server is away, nobody else gets its port.
            self._held = socket.socket()
            self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._held.bind(("127.0.0.1", 0))
            self._port = self._held.getsockname()[1]
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Be away: connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def jwks_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/.well-known/jwks.json"

    @property
    def variables(self) -> dict[str, str]:
        """What a process is told."""
        return {"AUTH_ISSUER": ISSUER, "AUTH_JWKS_URL": self.jwks_url}

    @property
    def settings(self) -> AuthenticationSettings:
        """The same, for an application in the test's own process."""
        return AuthenticationSettings(issuer=ISSUER, jwks_url=self.jwks_url)

    def key_set(self) -> bytes:
        return json.dumps(
            {"keys": [self.keys[kid].as_dict(private=False) for kid in self.published]}
        ).encode()

    def add(self, kid: str) -> None:
        """A new key, published."""
        self.keys[kid] = new_key(kid)
        self.published.append(kid)

    def claims(self, scope: object = None, seconds: float = 600) -> dict[str, Any]:
        now = int(time.time())
        return {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "tester",
            "client_id": "tester",
            "iat": now,
            "exp": now + int(seconds),
            "jti": "one",
            "scope": " ".join(SCOPES) if scope is None else scope,
        }

    def token(
        self,
        scope: object = None,
        *,
        key: str | None = None,
        header: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Good unless something is changed; a claim that is None is left out."""
        kid = key or next(iter(self.keys))
        said = {**self.claims(scope), **claims}
        full = {"typ": "at+jwt", "alg": "ES256", "kid": kid, **(header or {})}
        kept = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(full, kept, self.keys[kid], algorithms=["ES256"])

    def headers(self, scope: str | None = None) -> dict[str, str]:
        """For a client: with all scopes unless said."""
        return {"Authorization": f"Bearer {self.token(scope)}"}


def new_key(kid: str) -> ECKey:
    parameters: Any = {"kid": kid, "use": "sig", "alg": "ES256"}
    return ECKey.generate_key("P-256", parameters)
