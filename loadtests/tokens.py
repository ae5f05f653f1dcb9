"""Tokens for whoever meets the platform from outside, got as any client gets them.

A client of its own is registered for each run, with no more scopes than it uses, and deactivated
when the run is over. One token per process: it is renewed before it ends, and whoever sends
requests shows the one that is there.
"""

import base64
import secrets
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import httpx
from rich.console import Console

from bootstrap.checkout import Checkout
from bootstrap.kube import WAY_OUT, Kube, KubeError
from services.contracts.scopes import (
    CLIENTS_ADMIN,
    DATA_READ,
    DATA_WRITE,
    RESOURCES_READ,
    RESOURCES_WRITE,
    TASKS_READ,
    TASKS_WRITE,
    TELEMETRY_READ,
    TELEMETRY_WRITE,
)

SCOPES = (
    *(RESOURCES_READ, RESOURCES_WRITE),
    *(DATA_READ, DATA_WRITE),
    *(TELEMETRY_READ, TELEMETRY_WRITE),
    *(TASKS_READ, TASKS_WRITE),
)
ADMINISTRATOR = "administrator"
SECRET = "auth-administrator"  # noqa: S105 - a Secret's name
_SECONDS = 15.0
_AGAIN_SECONDS = 5.0
"""After a renewal that failed."""


class TokenFailed(KubeError):
    """There is no token to be had; the text says what was asked for."""


@dataclass
class Tokens:
    """One client's, over and over; threads share it."""

    http: httpx.Client
    client_id: str
    secret: str = field(repr=False)
    scopes: tuple[str, ...]
    _token: str = field(default="", repr=False)
    _renew_at: float = 0.0
    _ends_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def header(self) -> str:
        """What an Authorization header says now.

        Raises:
            TokenFailed: the last one has ended, and there is no other.
        """
        with self._lock:
            if time.monotonic() >= self._renew_at:
                try:
                    self._renew()
                except TokenFailed:
                    # While the one that is there does, its issuer may be away.
                    if time.monotonic() >= self._ends_at:
                        raise
                    self._renew_at = time.monotonic() + _AGAIN_SECONDS
            return f"Bearer {self._token}"

    def _renew(self) -> None:
        asked = time.monotonic()
        answer = _ask(
            self.http,
            "POST",
            "/oauth/token",
            auth=(self.client_id, self.secret),
            data={"grant_type": "client_credentials", "scope": " ".join(self.scopes)},
        ).json()
        self._token = str(answer["access_token"])
        lasts = float(answer["expires_in"])
        self._renew_at, self._ends_at = asked + lasts / 2, asked + lasts


class Shown(httpx.Auth):
    """Puts the token of the moment on every request of an httpx client."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """As httpx asks for it."""
        request.headers.setdefault("Authorization", self._tokens.header())
        yield request


_open: dict[str, Tokens] = {}


def auth_of(checkout: Checkout) -> Shown | None:
    """What clients of this checkout's platform show; nothing outside a session."""
    tokens = _open.get(checkout.id)
    return Shown(tokens) if tokens else None


def header_of(checkout: Checkout) -> str | None:
    """The same as text, for those who do not send the requests themselves."""
    tokens = _open.get(checkout.id)
    return tokens.header() if tokens else None


@contextmanager
def session(checkout: Checkout, scopes: tuple[str, ...] = SCOPES) -> Generator[Tokens]:
    """A client of its own for as long as the block lasts; who is inside one already shares it.

    Raises:
        KubeError: the administrator's secret could not be read, or the client not be registered.
    """
    if (there := _open.get(checkout.id)) is not None:
        yield there
        return
    stored = Kube(checkout).json("get", "secret", SECRET, "-n", "apps")["data"]["password"]
    secret = base64.b64decode(stored).decode()
    base = f"http://127.0.0.1:{checkout.port('auth')}"
    with httpx.Client(base_url=base, timeout=_SECONDS, trust_env=False) as http:
        administrator = Tokens(http, ADMINISTRATOR, secret, (CLIENTS_ADMIN,))
        name = f"run-{secrets.token_hex(4)}"
        made = _ask(
            http,
            "POST",
            "/oauth/clients",
            auth=Shown(administrator),
            json={"client_name": name, "scope": " ".join(scopes)},
        ).json()
        client_id = str(made["client_id"])
        _open[checkout.id] = Tokens(http, client_id, str(made["client_secret"]), scopes)
        try:
            yield _open[checkout.id]
        finally:
            forget(checkout)
            # What a run has found is not lost over this: its tokens end soon by themselves.
            with suppress(TokenFailed):
                _ask(http, "DELETE", f"/oauth/clients/{client_id}", auth=Shown(administrator))


def forget(checkout: Checkout) -> None:
    """The platform that knew the client is gone: the next session registers another."""
    _open.pop(checkout.id, None)


def show(checkout: Checkout, console: Console, scopes: tuple[str, ...] = ()) -> bool:
    """Print a token alone, for a shell to use; False, after a sentence, when there is none."""
    try:
        with session(checkout, scopes or SCOPES) as own:
            token = own.header().removeprefix("Bearer ")
    except KubeError as error:
        console.print("[red]no token:[/red]", end=" ", highlight=False)
        console.print(f"{error}; {WAY_OUT}", markup=False, highlight=False, soft_wrap=True)
        return False
    print(token)  # noqa: T201 - nothing else may stand there
    return True


def _ask(http: httpx.Client, method: str, path: str, **more: object) -> httpx.Response:
    try:
        answer = http.request(method, path, **more)  # pyright: ignore[reportArgumentType]
    except httpx.HTTPError as error:
        raise TokenFailed(f"{method} {http.base_url}{path}: {type(error).__name__}") from error
    if not answer.is_success:
        raise TokenFailed(
            f"{method} {http.base_url}{path} answers {answer.status_code}: {answer.text[:300]}"
        )
    return answer
