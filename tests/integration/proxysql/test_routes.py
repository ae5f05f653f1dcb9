"""Where a real ProxySQL sends what is in the table of statements, and what it never splits."""

from __future__ import annotations

import pytest
from pymysql.err import MySQLError, OperationalError

from components.servers.proxysql.rules import MARKER, READERS, WRITER
from tests.harness.proxysql_rules import STATEMENTS
from tests.integration.authority import eventually
from tests.integration.proxysql_platform import Platform, client, run

GROUPS = {"writer": WRITER, "readers": READERS}
_OWN_ANSWERS = ("SELECT CONNECTION_ID()", "SELECT @@version_comment LIMIT 1")
"""ProxySQL says them itself."""


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda text: text[:60])
async def test_a_statement_goes_where_the_table_says(platform: Platform, statement: str) -> None:
    if statement in _OWN_ANSWERS:
        pytest.skip("no server is asked")
    async with client(platform.settings()) as connection:
        platform.proxy.ask("SELECT 1 FROM stats_mysql_query_digest_reset LIMIT 1")
        try:
            await run(connection, statement)
        except MySQLError as error:
            # The server's own: what counts is which one was asked.
            if error.args[0] in (9001, 1148, 1045, 2013):
                raise
        rows = platform.proxy.ask(
            "SELECT DISTINCT hostgroup FROM stats_mysql_query_digest"
            f" WHERE schemaname = '{platform.settings().name}' AND digest_text NOT LIKE 'SET %'"
            " AND digest_text NOT LIKE 'ROLLBACK%'"
        )
    assert [int(group) for (group,) in rows] == [GROUPS[STATEMENTS[statement]]]


async def node(platform: Platform, *before: str, hint: str = "") -> object:
    (row,) = await platform.ask(*before, f"SELECT {hint} name FROM node")
    return row["name"]


async def test_plain_reads_are_the_replicas_and_the_hint_leads_to_the_source(
    platform: Platform,
) -> None:
    for _ in range(20):
        assert await node(platform) == "replica"
        assert await node(platform, hint="/* writer */") == "source"


async def test_a_transaction_stays_where_it_began(platform: Platform) -> None:
    for begin in ("BEGIN", "START TRANSACTION"):
        assert await node(platform, begin) == "source"
    async with client(platform.settings()) as connection:
        await run(connection, "BEGIN")
        await run(connection, "INSERT INTO t VALUES (1, 'mine')")
        assert await run(connection, "SELECT value FROM t") == [{"value": "mine"}]
        await run(connection, "COMMIT")
        assert await run(connection, "SELECT name FROM node") == [{"name": "replica"}]


async def test_a_client_without_autocommit_writes_to_the_source(platform: Platform) -> None:
    async with client(platform.settings(), autocommit=False) as connection:
        await run(connection, "SELECT COUNT(*) FROM t")
        await run(connection, "INSERT INTO t VALUES (1, 'mine')")
        assert await run(connection, "SELECT /* writer */ value FROM t") == [{"value": "mine"}]
        await run(connection, "ROLLBACK")
    assert await platform.ask("SELECT /* writer */ value FROM t") == []


async def test_what_was_just_written_is_read_where_that_is_asked_for(platform: Platform) -> None:
    await platform.replica.as_admin("STOP REPLICA SQL_THREAD")
    try:
        for number in range(20):
            await platform.ask(f"INSERT INTO t VALUES ({number}, 'new')")
            (row,) = await platform.ask(f"SELECT /* writer */ value FROM t WHERE id = {number}")
            assert row["value"] == "new"
    finally:
        await platform.replica.as_admin("START REPLICA SQL_THREAD")
    await platform.whole()


async def test_a_lock_with_a_name_keeps_others_out_and_its_session_its_connection(
    platform: Platform,
) -> None:
    async with client(platform.settings()) as one, client(platform.settings()) as other:
        assert await run(one, "SELECT GET_LOCK('a', 5) AS got") == [{"got": 1}]
        assert await run(other, "SELECT GET_LOCK('a', 0) AS got") == [{"got": 0}]
        assert await run(one, "SELECT RELEASE_LOCK('a') AS got") == [{"got": 1}]
        assert await run(other, "SELECT GET_LOCK('a', 5) AS got") == [{"got": 1}]


async def test_a_row_locked_for_update_is_locked_on_the_source(platform: Platform) -> None:
    await platform.ask("INSERT INTO t VALUES (1, 'a')")
    async with client(platform.settings()) as connection:
        await run(connection, "BEGIN")
        await run(connection, "SELECT value FROM t WHERE id = 1 FOR UPDATE")
        with pytest.raises(OperationalError, match="NOWAIT"):
            await platform.ask("SELECT value FROM t WHERE id = 1 FOR UPDATE NOWAIT")


async def test_the_proxy_says_which_routes_it_goes_by(platform: Platform) -> None:
    with pytest.raises(MySQLError) as raised:
        await platform.ask(MARKER)
    assert platform.routes.version in str(raised.value)


async def test_time_zones_and_isolation_of_a_session_follow_it(platform: Platform) -> None:
    async with client(platform.settings()) as connection:
        for _ in range(5):
            for hint in ("", "/* writer */"):
                (row,) = await run(
                    connection, f"SELECT {hint} TIMESTAMPDIFF(HOUR, UTC_TIMESTAMP(), NOW()) AS h"
                )
                assert row == {"h": 0}

    async def followed() -> bool:
        return await node(platform) == "replica"

    await eventually(followed)
