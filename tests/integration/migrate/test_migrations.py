"""Migrations of every database against a real server."""

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import asyncpg
import pytest

from infra.model.records import RECORDS
from services.migrate import runner
from services.migrate.engine import MigrationError
from services.migrate.engines import ENGINES
from services.shared.inbox import ddl as inbox
from services.shared.outbox import ddl as outbox
from services.shared.outbox.lanes import LANES
from services.shared.postgres.database import connect
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE
from tests.integration.ports import free_port
from tests.integration.servers import PostgresServer

ON_POSTGRES = [
    name
    for server in RECORDS.server_names(engine="postgres")
    for name in RECORDS.databases(server=server)
]
CATALOGUE = """
    SELECT 'column' AS kind, table_name || '.' || column_name AS name,
           concat_ws(' ', data_type, character_maximum_length, collation_name, is_nullable,
                     column_default, identity_generation, ordinal_position) AS detail
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL
    SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    UNION ALL
    SELECT 'options', relname, coalesce(array_to_string(reloptions, ','), '')
    FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'partitions', relname,
           concat(pg_get_partkeydef(oid), ' ', pg_get_expr(relpartbound, oid))
    FROM pg_class WHERE relnamespace = 'public'::regnamespace
    ORDER BY 1, 2, 3"""


PROGRESS_BEFORE = """
    SELECT resource_id, version, deleted, updated_at FROM resource_progress ORDER BY 1"""
HELD_BEFORE = "SELECT * FROM held_events ORDER BY version"


async def migrate(
    kind: str, settings: DatabaseSettings, **how: Any
) -> tuple[str | None, str | None]:
    return await runner.migrate(kind, RECORDS.owner(kind), settings, ENGINES["postgres"], **how)


async def rows(settings: DatabaseSettings, query: str) -> list[asyncpg.Record]:
    connection = await connect(settings, "test", connect_timeout=PATIENCE)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


@pytest.mark.usefixtures("no_midnight")  # there are tables of days
@pytest.mark.parametrize("kind", ON_POSTGRES)
async def test_up_down_up_ends_in_the_same_schema(postgres: PostgresServer, kind: str) -> None:
    settings = await postgres.provision(f"updown_{kind}")
    before, head = await migrate(kind, settings)
    assert (before, head is not None) == (None, True)
    first = await rows(settings, CATALOGUE)
    assert len(first) > 20
    assert await migrate(kind, settings, to="base") == (head, None)
    left = await rows(
        settings, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    )
    assert {row["relname"] for row in left} <= {"alembic_version", "alembic_version_pkc"}
    assert await migrate(kind, settings) == (None, head)
    assert await rows(settings, CATALOGUE) == first
    assert await migrate(kind, settings) == (head, head)


@pytest.mark.parametrize("kind", ON_POSTGRES)
async def test_the_sql_is_printed_and_nothing_is_changed(
    postgres: PostgresServer, kind: str
) -> None:
    settings = await postgres.provision(f"printed_{kind}")
    whose = (kind, RECORDS.owner(kind), settings, ENGINES["postgres"])
    before = await runner.status(*whose)
    assert "CREATE TABLE" in await runner.statements(*whose)
    assert await runner.status(*whose) == before
    assert (before.revision, before.pending[-1]) == (None, before.head)


@pytest.mark.parametrize("kind", ON_POSTGRES)
async def test_two_runs_at_once_do_not_collide(postgres: PostgresServer, kind: str) -> None:
    settings = await postgres.provision(f"twice_{kind}")
    results = await asyncio.gather(*(migrate(kind, settings) for _ in range(4)))
    assert sum(before is None for before, _ in results) == 1
    assert len({after for _, after in results}) == 1


async def test_the_outbox_has_a_partition_for_today_and_the_days_around(
    restdb: DatabaseSettings,
) -> None:
    names = await rows(
        restdb,
        "SELECT c.relname, c.reloptions FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'outbox_events'::regclass ORDER BY 1",
    )
    assert names[-1]["relname"] == "outbox_events_default"
    assert len(names) >= 4
    for partition in names:
        assert "autovacuum_vacuum_scale_factor=0" in partition["reloptions"]
    (lanes,) = await rows(restdb, "SELECT min(lane), max(lane), count(*) FROM relay_lease")
    assert tuple(lanes) == (0, 63, 64)


async def execute(settings: DatabaseSettings, statements: list[str]) -> None:
    connection = await connect(settings, "test", connect_timeout=PATIENCE)
    try:
        await connection.execute("; ".join(statements))
    finally:
        await connection.close()


class Statements(list[str]):
    """Takes the place of alembic.op."""

    def execute(self, sqltext: Any, /) -> None:
        self.append(sqltext)


@pytest.mark.usefixtures("no_midnight")  # before `restdb`, which has tables of its days
async def test_the_librarys_outbox_is_the_one_of_rest_services_revisions_and_goes_without_a_trace(
    postgres: PostgresServer, restdb: DatabaseSettings
) -> None:
    own = await postgres.provision("outbox_of_a_new_service")
    up, down = Statements(), Statements()
    outbox.upgrade_v1(up)
    outbox.downgrade_v1(down)
    await execute(own, up)
    made = await rows(own, CATALOGUE)
    assert made == [
        row
        for row in await rows(restdb, CATALOGUE)
        if row["name"].startswith(("outbox_", "relay_"))
    ]
    lanes = "SELECT lane, owner, token, expires_at FROM relay_lease ORDER BY lane"
    assert await rows(own, lanes) == await rows(restdb, lanes)
    assert [row["lane"] for row in await rows(own, lanes)] == list(range(LANES))
    await execute(own, down)
    assert await rows(own, CATALOGUE) == []


async def test_the_librarys_inbox_is_the_one_of_the_workers_revisions_and_goes_without_a_trace(
    postgres: PostgresServer,
) -> None:
    own = await postgres.provision("inbox_of_a_new_service")
    workerdb = await postgres.provision("inbox_of_the_worker")
    await migrate("workerdb", workerdb)
    up, down = Statements(), Statements()
    inbox.upgrade_v1(up)
    inbox.downgrade_v1(down)
    await execute(own, up)
    made = await rows(own, CATALOGUE)
    assert made == [
        row for row in await rows(workerdb, CATALOGUE) if row["name"].startswith("inbox_")
    ]
    await execute(own, down)
    assert await rows(own, CATALOGUE) == []


EVENTS = [f"01900000-0000-7000-8000-00000000000{n}" for n in range(4)]


async def test_what_the_worker_has_got_to_and_what_it_holds_outlasts_the_change_of_its_tables(
    postgres: PostgresServer,
) -> None:
    settings = await postgres.provision("inbox_kept")
    await migrate("workerdb", settings, to="0002")
    before = [
        """INSERT INTO resource_progress (resource_id, version, deleted, updated_at) VALUES
           ('gone', 3, true, '2026-01-01T00:00:00Z'), ('here', 1, false, '2026-01-02T00:00:00Z')""",
        f"""INSERT INTO held_events (resource_id, version, id, event_type, action, payload,
                                     correlation_id, held_at) VALUES
            ('here', 3, '{EVENTS[0]}', 'resource.updated', 'updated', '{{"id": "here"}}', 'c',
             '2026-01-03T00:00:00Z'),
            ('here', 4, '{EVENTS[1]}', 'resource.deleted', 'deleted', '{{"id": "here"}}', NULL,
             '2026-01-04T00:00:00Z')""",
    ]
    await execute(settings, before)
    held = await rows(settings, HELD_BEFORE)
    progress = await rows(settings, PROGRESS_BEFORE)
    assert await migrate("workerdb", settings, to="0003") == ("0002", "0003")
    found = await rows(
        settings, "SELECT aggregate, version, ended, updated_at FROM inbox_progress ORDER BY 1"
    )
    assert [tuple(row) for row in found] == [tuple(row) for row in progress]
    found = await rows(
        settings,
        "SELECT aggregate, version, id::text, last, payload, correlation_id, traceparent"
        " FROM inbox_held ORDER BY version",
    )
    assert [tuple(row) for row in found] == [
        ("here", 3, EVENTS[0], False, '{"id": "here"}', "c", None),
        ("here", 4, EVENTS[1], True, '{"id": "here"}', None, None),
    ]
    of_tasks = f"""
        INSERT INTO inbox_held (aggregate, version, id, event_type, payload, last) VALUES
        ('tasks:{"r" * 100}', 3, '{EVENTS[3]}', 'task.process', '{{}}', false),
        ('tasks:{"r" * 100}', 2, '{EVENTS[2]}', 'task.failed',
         '{{"task_id": "t", "resource_id": "r", "action": "scan"}}', true);
        INSERT INTO inbox_progress (aggregate) VALUES ('tasks:{"r" * 100}')"""
    await execute(settings, [of_tasks])
    assert await migrate("workerdb", settings, to="0002") == ("0003", "0002")
    assert await rows(settings, HELD_BEFORE) == held
    assert await rows(settings, PROGRESS_BEFORE) == progress
    found = await rows(
        settings,
        "SELECT id::text, resource_id, task_id, action, aggregate_version"
        " FROM processed_events ORDER BY seq",
    )
    assert [tuple(row) for row in found] == [
        (EVENTS[2], "r", "t", "scan", 2),
        (EVENTS[3], None, None, "process", 3),
    ]


async def test_an_unknown_revision_is_refused_and_changes_nothing(restdb: DatabaseSettings) -> None:
    before = await rows(restdb, CATALOGUE)
    with pytest.raises(
        MigrationError, match=r"restdb to nonsense: .*the last whole revision stands"
    ):
        await migrate("restdb", restdb, to="nonsense")
    assert await rows(restdb, CATALOGUE) == before


async def test_a_package_without_migrations_is_refused_with_those_that_have_some(
    restdb: DatabaseSettings,
) -> None:
    with pytest.raises(
        MigrationError, match=r"services/rest_servise/migrations; .*: .*event_worker, .*rest_serv"
    ):
        await runner.migrate("restdb", "rest_servise", restdb, ENGINES["postgres"])


async def test_a_server_that_never_comes_is_an_error_that_says_so(restdb: DatabaseSettings) -> None:
    nobody = restdb.model_copy(update={"port": free_port()})
    with pytest.raises(MigrationError, match=r"within 0\.2 s .*see that the server runs"):
        await migrate("restdb", nobody, wait_seconds=0.2)


async def test_the_command_reads_its_environment_and_logs_one_json_line(
    postgres: PostgresServer,
) -> None:
    settings = await postgres.provision("command_line")
    values = {
        f"DATABASE_{key.upper()}": str(value)
        for key, value in settings.model_dump(exclude_none=True).items()
    }
    run = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "services.migrate", "restdb", "--package", "rest_service"],
        env={"PATH": os.environ["PATH"], **values},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    line = json.loads(run.stdout)
    assert (line["event"], line["before"], line["after"]) == ("migrated", None, "0002")
