"""A PostgreSQL server that is backed up: what tests put into it and ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from services.backup.postgres import tables
from services.shared.postgres.database import connect, is_unavailable
from tests.integration.authority import PATIENCE, eventually
from tests.integration.backup.pod import BACKUPS, SCRATCH, Pod
from tests.integration.servers import PostgresServer

_SCHEMA = (
    "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)",
    "INSERT INTO alembic_version VALUES ('0001')",
    "CREATE TABLE kept (id bigserial PRIMARY KEY, said text NOT NULL, doc jsonb)",
    "CREATE TABLE child (id bigserial PRIMARY KEY, kept bigint REFERENCES kept)",
    "CREATE TABLE written (id bigserial PRIMARY KEY, at timestamptz DEFAULT now())",
    "INSERT INTO kept (said, doc) VALUES ('a', '{\"n\": 1}'), ('b', NULL)",
    "INSERT INTO child (kept) SELECT 1 + g % 2 FROM generate_series(1, 500) g",
)


@dataclass
class OnPostgres:
    """`said()` is in the beginning a and b."""

    server: PostgresServer
    pod: Pod
    name = "restdb"
    package = "rest_service"
    folder = f"{BACKUPS}/postgres"
    archive = "wal-*"

    async def ask(self, *statements: str, database: str = "restdb") -> list[asyncpg.Record]:
        found: list[asyncpg.Record] = []
        for statement in statements:
            found = await self.server.as_admin(statement, database)
        return found

    async def as_owner(self, *statements: str) -> None:
        own = await connect(self.pod.accounts[self.name], "test", connect_timeout=PATIENCE)
        for statement in statements:
            await own.execute(statement)
        await own.close()

    async def fill(self) -> None:
        """The tables as they were in the beginning, and no backup."""
        await self.empty()
        await self.as_owner(*_SCHEMA)

    async def empty(self) -> None:
        """No table, no backup and no archive."""
        self.pod.shell(f"rm -rf {BACKUPS}/* {SCRATCH}/*")
        for row in await self.ask(
            "SELECT datname FROM pg_database WHERE datname LIKE 'restdb\\__%'", database="postgres"
        ):
            await self.ask(f"DROP DATABASE {row['datname']}", database="postgres")
        await self.ask(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots",
            "DROP SCHEMA public CASCADE",
            "CREATE SCHEMA public AUTHORIZATION pg_database_owner",
        )

    async def add(self, said: str) -> None:
        await self.ask(f"INSERT INTO kept (said) VALUES ('{said}')")

    async def said(self) -> list[str]:
        return [row["said"] for row in await self.ask("SELECT said FROM kept ORDER BY id")]

    async def drop(self) -> None:
        """A table with all that is in it."""
        await self.ask("DROP TABLE kept CASCADE")

    async def contents(self) -> Any:
        """The same for the same rows in the same tables."""
        own = await connect(
            self.pod.accounts[self.name],
            "test",
            connect_timeout=PATIENCE,
            server_settings=tables.SETTINGS,
        )
        found = await tables.contents(own, self.name)
        await own.close()
        return {key: table for key, table in found.items() if not key.endswith(".written")}

    async def grow(self, mebibytes: int) -> None:
        """By what no program makes smaller."""
        await self.ask(
            "INSERT INTO kept (id, said) SELECT 1000 + g, string_agg(gen_random_uuid()::text, '')"
            f" FROM generate_series(1, {mebibytes * 32}) g, generate_series(1, 1800) h GROUP BY g"
        )

    async def let_in(self) -> bool:
        """Whether the application may log in."""
        try:
            own = await connect(self.pod.accounts[self.name], "test", connect_timeout=PATIENCE)
        except Exception as error:
            if not is_unavailable(error):
                raise
            return False
        await own.close()
        return True

    async def left(self) -> list[Any]:
        """What a restore on the way has, and nobody else."""
        return await self.ask(
            "SELECT datname FROM pg_database WHERE datname LIKE '%restoring' OR NOT datallowconn"
            " AND datname <> 'template0'"
        )

    async def now(self) -> datetime:
        return (await self.ask("SELECT clock_timestamp() AS at", database="postgres"))[0]["at"]

    async def archived(self) -> datetime:
        """Once everything that is committed now is in the archive; the moment that it reaches."""
        moment = await self.now()

        async def reached() -> bool:
            return (until := await self.until()) is not None and until > moment

        await eventually(reached)
        return moment

    async def until(self) -> datetime | None:
        """How far the archive says it goes."""
        _, text = self.pod.container.ask("bash", "-c", f"cat {self.folder}/wal-*/position.json")
        when = text.partition('"when":"')[2].partition('"')[0]
        return datetime.fromisoformat(when) if when else None

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[list[int]]:
        """Somebody who writes all the while, and comes back when thrown out."""
        done, over = [0], asyncio.Event()

        async def write() -> None:
            while not over.is_set():
                try:
                    own = await connect(self.pod.accounts[self.name], "writer")
                    while not over.is_set():
                        await own.execute("INSERT INTO written DEFAULT VALUES")
                        done[0] += 1
                        await asyncio.sleep(0.005)
                    await own.close()
                except Exception as error:
                    if not is_unavailable(error):
                        raise
                await asyncio.sleep(0.05)

        task = asyncio.create_task(write())
        try:
            yield done
        finally:
            assert not task.done(), task.exception()
            # Not cut off: a row on its way could be written after somebody counted them.
            over.set()
            await asyncio.wait_for(task, 60)

    @asynccontextmanager
    async def swap_held_up(self) -> AsyncIterator[None]:
        """Somebody changes something of the database and does not end: a swap waits."""
        other = await connect(self.server.admin, "other", connect_timeout=PATIENCE)
        try:
            await other.execute("BEGIN")
            await other.execute(f"COMMENT ON DATABASE {self.name} IS NULL")
            yield
        finally:
            other.terminate()

    def loaded_held_up(self) -> AbstractAsyncContextManager[None]:
        """A restore that has loaded waits, for its swap."""
        return self.swap_held_up()

    async def swapping(self) -> bool:
        """Whether a swap waits."""
        return bool(
            await self.ask(
                "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'ALTER DATABASE%RENAME%'"
                " AND wait_event_type = 'Lock' AND backend_type = 'client backend'",
                database="postgres",
            )
        )

    async def forsaken(self) -> bool:
        """Whether the server has seen that nobody works on backups any more."""
        return not await self.ask("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'")

    async def loading(self) -> bool:
        """Whether a restore has begun to put rows beside the live ones."""
        query = "SELECT 1 FROM pg_database WHERE datname LIKE '%restoring'"
        return bool(await self.ask(query, database="postgres"))
