"""A MySQL server that is backed up: what tests put into it and ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.provision.spec import MySQLSpec
from services.shared.mysql import lockout
from services.shared.mysql.connections import connect, is_unavailable
from tests.integration.authority import PATIENCE, eventually
from tests.integration.backup.pod import BACKUPS, SCRATCH, Pod
from tests.integration.mysql_container import MySQLServer

_SCHEMA = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
    "INSERT INTO alembic_version VALUES ('0001')",
    "CREATE TABLE owners (id INT PRIMARY KEY, name VARCHAR(60) NULL, photo LONGBLOB NULL)",
    "CREATE TABLE kept (id INT AUTO_INCREMENT PRIMARY KEY, said VARCHAR(60) NOT NULL,"
    " UNIQUE (said),"
    " owner INT NOT NULL, made TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6), scopes JSON,"
    " CONSTRAINT owned FOREIGN KEY (owner) REFERENCES owners (id), CHECK (owner > 0))",
    "CREATE TABLE written (id INT AUTO_INCREMENT PRIMARY KEY, at TIMESTAMP(6) DEFAULT"
    " CURRENT_TIMESTAMP(6))",
    "INSERT INTO owners VALUES (1, 'ok', NULL), (2, NULL, X'00FF10'), (3, 'é😀', '')",
    "INSERT INTO kept (said, owner, scopes) VALUES ('a', 1, '[1]'), ('b', 2, NULL)",
)


@dataclass
class OnMySQL:
    """`said()` is in the beginning a and b."""

    server: MySQLServer
    pod: Pod
    provisioned: MySQLSpec
    name = "client_db"
    package = "auth_service"
    folder = f"{BACKUPS}/client-db"
    archive = "binlog"

    async def ask(self, *statements: str, database: str = "client_db") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for statement in statements:
            found = await self.server.as_admin(statement, database)
        return found

    async def fill(self) -> None:
        """The tables as they were in the beginning, and no backup."""
        await self.empty()
        await self.ask(*_SCHEMA)

    async def empty(self) -> None:
        """No table and no backup."""
        self.pod.shell(f"rm -rf {BACKUPS}/* {SCRATCH}/*")
        for row in await self.ask("SHOW DATABASES LIKE 'client_db%'", database="mysql"):
            await self.ask(f"DROP DATABASE `{next(iter(row.values()))}`", database="mysql")
        await self.ask("CREATE DATABASE client_db", database="mysql")

    async def add(self, said: str) -> None:
        await self.ask(f"INSERT INTO kept (said, owner) VALUES ('{said}', 1)")

    async def said(self) -> list[str]:
        return [row["said"] for row in await self.ask("SELECT said FROM kept ORDER BY id")]

    async def drop(self) -> None:
        """A table with all that is in it."""
        await self.ask("DROP TABLE kept")

    async def contents(self) -> Any:
        """The same for the same rows in the same tables."""
        return await self.ask("CHECKSUM TABLE alembic_version, owners, kept")

    async def grow(self, mebibytes: int) -> None:
        """By what no program makes smaller."""
        for _ in range(mebibytes):
            await self.ask(
                "INSERT INTO owners SELECT MAX(o.id) + n.n, 'big', CONCAT("
                + ", ".join(["RANDOM_BYTES(1024)"] * 64)
                + ") FROM owners o, (WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM"
                " t WHERE n < 16) SELECT n FROM t) n GROUP BY n.n"
            )

    async def let_in(self) -> bool:
        """Whether the application may log in."""
        try:
            connection = await connect(
                self.pod.accounts["client_db"], "test", connect_timeout=PATIENCE
            )
        except Exception as error:
            if not is_unavailable(error):
                raise
            return False
        connection.close()
        return True

    async def left(self) -> list[Any]:
        """What a restore on the way has, and nobody else."""
        made = "SELECT 1 FROM mysql.user WHERE user = 'millrace_restore'"
        schemas = "SHOW DATABASES LIKE 'client_db\\_\\_restoring'"
        return [*await self.ask(schemas, database="mysql"), *await self.ask(made)]

    async def now(self) -> datetime:
        (row,) = await self.ask("SELECT UTC_TIMESTAMP(6) AS at", database="mysql")
        return row["at"].replace(tzinfo=UTC)

    async def archived(self) -> datetime:
        """Once everything that is committed now is in the archive; the moment that it reaches."""
        moment = await self.now()

        async def reached() -> bool:
            return (until := await self.until()) is not None and until > moment

        await eventually(reached)
        return moment

    async def until(self) -> datetime | None:
        """How far the archive says it goes."""
        _, said = self.pod.container.ask("bash", "-c", f"cat {self.folder}/binlog/*.state")
        if '"until": "' not in said:
            return None
        return datetime.fromisoformat(said.split('"until": "')[1].split('"')[0])

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[list[int]]:
        """Somebody who writes all the while, and comes back when thrown out."""
        done, over = [0], asyncio.Event()

        async def write() -> None:
            while not over.is_set():
                try:
                    connection = await connect(self.pod.accounts["client_db"], "writer")
                    try:
                        async with connection.cursor() as cursor:
                            while not over.is_set():
                                await cursor.execute("INSERT INTO written (id) VALUES (NULL)")
                                await connection.commit()
                                done[0] += 1
                                await asyncio.sleep(0.005)
                    finally:
                        connection.close()
                except Exception:
                    await asyncio.sleep(0.05)

        task = asyncio.create_task(write())
        try:
            yield done
        finally:
            # Not cut off: a row on its way could be written after somebody counted them.
            over.set()
            await asyncio.wait_for(task, 60)

    @asynccontextmanager
    async def loaded_held_up(self) -> AsyncIterator[None]:
        """Somebody provisions accounts and does not end: a restore that has loaded waits for half a
        minute, with the application in."""
        other = await connect(self.server.admin, "other", connect_timeout=PATIENCE)
        try:
            async with other.cursor() as cursor:
                await cursor.execute("SELECT GET_LOCK(%s, 0) AS got", (lockout.LOCK,))
                assert (await cursor.fetchone())["got"] == 1
            yield
        finally:
            other.close()

    @asynccontextmanager
    async def swap_held_up(self) -> AsyncIterator[None]:
        """Somebody reads a table and does not end: a swap waits, with the application out."""
        settings = self.server.admin.model_copy(update={"name": self.name})
        reader = await connect(settings, "reader", connect_timeout=PATIENCE)
        try:
            async with reader.cursor() as cursor:
                await cursor.execute("BEGIN")
                await cursor.execute("SELECT * FROM kept")
                yield
        finally:
            reader.close()

    async def swapping(self) -> bool:
        """Whether a swap waits."""
        return bool(
            await self.ask(
                "SELECT 1 FROM performance_schema.processlist WHERE info LIKE 'RENAME TABLE%'"
                " AND state LIKE 'Waiting for table metadata%'"
            )
        )

    async def forsaken(self) -> bool:
        """Whether the server has seen that nobody works on backups any more."""
        lock = f"millrace-backup-{self.name}"
        (row,) = await self.ask(f"SELECT IS_FREE_LOCK('{lock}') AS free", database="mysql")
        return row["free"] == 1

    async def loading(self) -> bool:
        """Whether a restore has begun to put rows beside the live ones."""
        return bool(
            await self.ask(
                "SELECT 1 FROM information_schema.tables WHERE table_schema ="
                " 'client_db__restoring' AND table_name <> '__restore'",
            )
        )
