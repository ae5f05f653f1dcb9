"""What the relay's alarm clock says while nobody can set it off."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest
import structlog
from prometheus_client import CollectorRegistry

from services.outbox_relay import wake
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


async def test_a_lasting_outage_is_logged_once_however_often_the_relay_tries_to_listen(
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
