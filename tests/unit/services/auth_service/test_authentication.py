"""What a refusal costs and when it is given, by a clock of the test."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from authlib.oauth2.rfc6749 import InvalidClientError
from prometheus_client import CollectorRegistry

from services.auth_service import authentication
from services.auth_service.authentication import Authenticator, TooManyFailuresError
from services.auth_service.hashing import fingerprint
from services.auth_service.incoming import Presented
from services.auth_service.metrics import AuthMetrics
from services.auth_service.model import Client, Secret
from services.auth_service.settings import AuthSettings
from services.contracts.ids import new_id

REFUSAL = 0.3
LOOK_UP, BCRYPT = 0.02, 0.07
"""Seconds."""
RIGHT = "right" * 8


@dataclass
class Clock:
    """Stands in for `time` and `asyncio` alike: nothing here waits."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)


@dataclass
class World:
    """The database and bcrypt, each as slow as it is, and how often either was asked."""

    clock: Clock
    rows: dict[str, Client] = field(default_factory=dict)
    looked_up: list[str] = field(default_factory=list)
    hashed: int = 0

    async def client(self, client_id: str) -> Client | None:
        self.looked_up.append(client_id)
        self.clock.now += LOOK_UP
        return self.rows.get(client_id)

    async def matches(self, secret: str, hashed: str) -> bool:
        self.hashed += 1
        self.clock.now += BCRYPT
        return hashed == f"hash of {secret}"

    def add(self, *, mark: int | None = None) -> str:
        client_id = new_id()
        known = fingerprint(RIGHT) if mark is None else mark
        self.rows[client_id] = Client(client_id, (), (Secret(f"hash of {RIGHT}", known, None),))
        return client_id


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(authentication, "time", made)
    monkeypatch.setattr(authentication, "asyncio", made)
    return made


@pytest.fixture
def world(clock: Clock) -> World:
    return World(clock)


@pytest.fixture
def authenticator(world: World, tmp_path: Path) -> Authenticator:
    (tmp_path / "secret").write_text("the administrator's")
    settings = AuthSettings(
        issuer="http://auth.test",
        keys_dir=tmp_path,
        admin_secret_file=tmp_path / "secret",
        refusal_seconds=REFUSAL,
    )
    on: Any = world
    return Authenticator(settings, on, on, AuthMetrics(CollectorRegistry()))


async def refused_after(authenticator: Authenticator, clock: Clock, given: Presented) -> float:
    came = clock.now
    with pytest.raises((InvalidClientError, TooManyFailuresError)):
        await authenticator.authenticate(given, "10.0.0.1")
    return clock.now - came


async def test_whatever_is_wrong_the_refusal_is_given_at_one_time_and_costs_no_bcrypt(
    authenticator: Authenticator, world: World, clock: Clock
) -> None:
    seen = Presented(world.add(), RIGHT)
    assert await authenticator.authenticate(seen, "10.0.0.1")
    hashed = world.hashed
    wrong = {
        "a client nobody knows": Presented(new_id(), RIGHT),
        "what is no id of ours": Presented("nobody", RIGHT),
        "the wrong secret of a client seen before": seen._replace(secret="wrong"),
        "the wrong secret of one not seen yet": Presented(world.add(), "wrong"),
        "the secret of another": Presented(world.add(mark=1), RIGHT),
        "the administrator's": Presented("administrator", "wrong"),
    }
    for _ in range(2):  # not looked up, then remembered
        times = {
            what: await refused_after(authenticator, clock, one) for what, one in wrong.items()
        }
        assert times == {what: pytest.approx(REFUSAL) for what in wrong}
    assert world.hashed == hashed


async def test_a_wrong_secret_of_the_right_fingerprint_is_no_later(
    authenticator: Authenticator, world: World, clock: Clock
) -> None:
    given = Presented(world.add(mark=fingerprint("wrong")), "wrong")
    assert await refused_after(authenticator, clock, given) == pytest.approx(REFUSAL)
    assert world.hashed == 1


async def test_one_that_is_told_to_wait_hears_it_at_that_time_too(
    authenticator: Authenticator, world: World, clock: Clock
) -> None:
    given = Presented(world.add(), "wrong")
    for _ in range(50):
        assert await refused_after(authenticator, clock, given) == pytest.approx(REFUSAL)
    with pytest.raises(TooManyFailuresError):
        await authenticator.authenticate(given, "10.0.0.1")
    assert await authenticator.authenticate(given._replace(secret=RIGHT), "10.0.0.1")


async def test_of_what_clients_there_are_not_only_so_much_is_remembered(
    authenticator: Authenticator,
    world: World,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(authentication, "_MOST_CLIENTS", 3)
    made_up = [Presented(new_id(), "wrong") for _ in range(4)]
    for one in made_up:
        await refused_after(authenticator, clock, one)
    world.looked_up.clear()
    for one in reversed(made_up):
        await refused_after(authenticator, clock, one)
    assert world.looked_up == [made_up[0].client_id]


async def test_of_secrets_that_were_verified_only_so_many_are_remembered(
    authenticator: Authenticator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "_MOST_CLIENTS", 3)
    clients = [Presented(world.add(), RIGHT) for _ in range(4)]
    for one in (*clients, clients[0], clients[3]):
        assert await authenticator.authenticate(one, "10.0.0.1")
    assert world.hashed == 5
