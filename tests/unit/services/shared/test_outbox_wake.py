"""What the alarm clock of an outbox says while nobody can set it off."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import asyncpg
import pytest
import structlog
from prometheus_client import CollectorRegistry

from services.shared.outbox import wake
from services.shared.postgres.database import Database
from services.shared.runtime.settings import DatabaseSettings


class CountedDatabase(Database):
    """Counts the connections that are asked for."""

    def __init__(self, settings: DatabaseSettings) -> None:
        super().__init__(settings, CollectorRegistry(), application_name="test")
        self.asked = asyncio.Queue[None]()

    async def connect(self) -> asyncpg.Connection:
        self.asked.put_nowait(None)
        return await super().connect()


async def test_a_lasting_outage_is_logged_once_however_often_a_listener_tries_to_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake, "_AGAIN_SECONDS", 0)
    file = tmp_path / "file"
    file.write_text("secret")
    nowhere = DatabaseSettings(
        host="localhost", port=1, name="d", user="u", password_file=file, ca_file=file, pool_size=1
    )
    database = CountedDatabase(nowhere)
    with structlog.testing.capture_logs() as lines:
        listening = asyncio.create_task(wake.Wake().listen(database))
        for _ in range(5):
            await database.asked.get()
        listening.cancel()
    assert [line["event"] for line in lines] == ["listen_lost"]


class Listener:
    """A connection that can be listened on."""

    def __init__(self) -> None:
        self.closed = False

    def is_closed(self) -> bool:
        return self.closed

    async def add_listener(self, _channel: str, _callback: object) -> None:
        pass

    async def execute(self, _query: str) -> None:
        pass

    async def close(self, *, timeout: float) -> None:
        assert timeout > 0
        self.closed = True


class ListenedDatabase(CountedDatabase):
    """Lets anybody listen."""

    def __init__(self, settings: DatabaseSettings) -> None:
        super().__init__(settings)
        self.made: list[Listener] = []

    async def connect(self) -> asyncpg.Connection:
        self.made.append(Listener())
        self.asked.put_nowait(None)
        return cast("asyncpg.Connection", self.made[-1])


async def test_it_listens_as_whoever_logs_in_from_now_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake, "_AGAIN_SECONDS", 0)
    monkeypatch.setattr(wake, "_CHECK_SECONDS", 0.001)
    file, user = tmp_path / "file", tmp_path / "username"
    file.write_text("secret")
    user.write_text("restdb")
    database = ListenedDatabase(
        DatabaseSettings(
            host="localhost", name="d", user="u", user_file=user, password_file=file, ca_file=file
        )
    )
    listening = asyncio.create_task(wake.Wake().listen(database))
    await database.asked.get()
    user.write_text("restdb_b")
    await database.asked.get()
    assert [made.closed for made in database.made] == [True, False]
    listening.cancel()


async def test_who_else_is_to_wake_is_woken_with_it_and_not_the_other_way_round() -> None:
    other = wake.Wake()
    first = wake.Wake(other)
    first.set()
    async with asyncio.timeout(10):
        await first.wait(60)
        await other.wait(60)
    other.set()
    waiting = asyncio.create_task(first.wait(60))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
