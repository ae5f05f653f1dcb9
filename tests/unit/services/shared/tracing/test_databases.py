"""Statements and commands as steps, with the drivers' own methods in place of servers."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pymysql
import pytest
from opentelemetry.trace import SpanKind
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from services.shared.mysql import writer as mysql_writer
from services.shared.mysql.blocking import Connection
from services.shared.mysql.connections import _Connection as AsyncConnection
from services.shared.mysql.writer import Writer
from services.shared.postgres.traced import about as about_postgres
from services.shared.postgres.turnover import NamedConnection
from services.shared.redis import client as redis_client
from services.shared.runtime import context
from services.shared.runtime.settings import DatabaseSettings, RedisSettings
from services.shared.tracing import spans
from tests.harness.traces import CALLER, TRACE, Spans, about, trace_of


def half_made(kind: type[Any], **attributes: Any) -> Any:
    """A connection that was never opened, so that nothing is to be closed."""
    made: Any = object.__new__(type("HalfMade", (kind,), {"__del__": lambda _: None}))
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def serving(traces: Spans) -> Iterator[Spans]:
    context.bind("c", *spans.server(CALLER, quiet=False))
    yield traces
    context.unbind()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("secret")
    return path


@pytest.fixture
def postgres(monkeypatch: pytest.MonkeyPatch) -> NamedConnection:
    async def answer(_self: object, query: str, *_args: Any, **_more: Any) -> str:
        if "wrong" in query:
            raise asyncpg.UndefinedTableError("no hush")
        return "answer"

    for name in ("execute", "executemany", "fetch", "fetchrow", "fetchval"):
        monkeypatch.setattr(asyncpg.Connection, name, answer)
    return half_made(NamedConnection, about=about_postgres("primary", 5432, "restdb"))


async def test_every_way_to_ask_postgresql_is_a_step(
    serving: Spans, postgres: NamedConnection
) -> None:
    for ask in (postgres.execute, postgres.fetch, postgres.fetchrow, postgres.fetchval):
        assert await ask(" SELECT a FROM things WHERE b = $1", "hush") == "answer"
    await postgres.executemany("INSERT INTO things VALUES ($1)", [("hush",)])
    assert [one.name for one in serving.all] == ["SELECT things"] * 4 + ["INSERT things"]
    made = serving.all[0]
    assert (made.kind, trace_of(made)) == (SpanKind.CLIENT, TRACE)
    assert about(made) == {
        "db.system.name": "postgresql",
        "db.namespace": "restdb",
        "db.query.summary": "SELECT things",
        "db.query.text": "SELECT a FROM things WHERE b = $1",
        "server.address": "primary",
        "server.port": 5432,
    }
    assert all("hush" not in one.to_json() for one in serving.all)


async def test_a_statement_that_fails_has_the_servers_code(
    serving: Spans, postgres: NamedConnection
) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await postgres.fetch("SELECT a FROM wrong")
    assert about(serving.one("SELECT wrong"))["db.response.status_code"] == "42P01"


async def test_nobodys_statement_is_no_step(traces: Spans, postgres: NamedConnection) -> None:
    assert await postgres.fetch("SELECT 1") == "answer"
    assert traces.all == []


async def test_mysqls_writer_makes_steps_in_its_threads(
    serving: Spans, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    driver = pymysql.connections.Connection
    connection = half_made(Connection, host="source", port=3306, db="telemetry", _sock=None)
    monkeypatch.setattr(driver, "query", lambda *_: 1)
    for name in ("begin", "commit", "rollback", "_force_close"):
        monkeypatch.setattr(driver, name, lambda _: None)
    monkeypatch.setattr(mysql_writer, "connect", lambda *_, **__: connection)
    where = DatabaseSettings(host="h", name="d", user="u", password_file=file, ca_file=file)
    writer = Writer(where, CollectorRegistry(), application_name="test")
    statement = "INSERT INTO telemetry (a) VALUES ('hush') AS f ON DUPLICATE KEY UPDATE a = f.a"
    assert await writer.run(lambda connection: connection.query(statement)) == 1
    await writer.close()
    assert [one.name for one in serving.all] == [
        "CONNECT d",
        "INSERT telemetry",
        "COMMIT",
    ]
    made = serving.one("INSERT telemetry")
    assert trace_of(made) == TRACE
    assert about(made) == {
        "db.system.name": "mysql",
        "db.namespace": "telemetry",
        "db.query.summary": "INSERT telemetry",
        "server.address": "source",
        "server.port": 3306,
    }


async def test_what_asyncio_asks_mysql_is_a_step(
    serving: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def query(*_: Any) -> int:
        await asyncio.sleep(0)
        return 1

    driver = AsyncConnection.__mro__[1]
    monkeypatch.setattr(driver, "query", query)
    monkeypatch.setattr(driver, "commit", query)
    connection = half_made(AsyncConnection, _host="copy", _port=3306, _db="client_db")
    assert await connection.query("SELECT a FROM clients WHERE id = 'hush'") == 1
    await connection.commit()
    assert [one.name for one in serving.all] == ["SELECT clients", "COMMIT"]
    assert all("hush" not in one.to_json() for one in serving.all)


async def test_commands_to_redis_are_steps_without_what_they_are_given(
    serving: Spans, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    async def answer(*_: Any, **__: Any) -> str:
        await asyncio.sleep(0)
        return "answer"

    monkeypatch.setattr(Redis, "execute_command", answer)
    monkeypatch.setattr(Pipeline, "execute", answer)
    where = RedisSettings(host="stream", username="u", password_file=file, ca_file=file)
    client = redis_client.client(where, timeout=1)
    assert await client.get("hush") == "answer"
    assert await client.register_script("return hush")(keys=["k"], args=["hush"]) == "answer"
    async with client.pipeline(transaction=False) as pipe:
        pipe.set("hush", "hush")
        pipe.set("a", "hush")
        assert await pipe.execute() == "answer"
    assert [one.name for one in serving.all] == ["GET", "EVALSHA", "PIPELINE"]
    assert about(serving.one("GET")) == {
        "db.system.name": "redis",
        "db.operation.name": "GET",
        "server.address": "stream",
        "server.port": 6379,
    }
    assert about(serving.one("PIPELINE"))["db.operation.batch.size"] == 2
    assert all("hush" not in one.to_json() for one in serving.all)
