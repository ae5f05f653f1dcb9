"""The archive of changes: without a gap whatever is killed, and it says how far it goes."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request

from tests.integration.authority import eventually
from tests.integration.backup.conftest import Server
from tests.integration.backup.on_postgres import OnPostgres
from tests.integration.backup.pod import SECRETS
from tests.integration.ports import free_port


async def test_kills_of_archiver_and_server_leave_neither_a_gap_nor_anything_twice(
    server: Server,
) -> None:
    await server.fill()
    pod = server.pod
    await pod.take()
    async with server.writer() as written:
        for victim in ("archiver", "server", "receiver"):
            async with pod.archiver() as said:
                await server.archived()
                if victim == "archiver":
                    pod.kill(said)
                elif victim == "server":
                    server.server.container.kill()
                    server.server.container.start()
                    await server.server.wait()
                else:
                    pod.container.ask("pkill", "-9", "pg_receivewal")
                so_far = written[0]

                async def more(than: int = so_far + 20) -> bool:
                    return written[0] > than

                await eventually(more)
                if victim != "archiver":
                    await server.archived()
        await server.add("last")
    rows = await server.ask("SELECT count(*) AS n, sum(id) AS s FROM written")
    async with pod.archiver():
        moment = await server.archived()
    await server.ask("DELETE FROM kept WHERE said = 'last'", "DELETE FROM written")
    await pod.do("pitr", "--to", moment.isoformat())
    assert await server.said() == ["a", "b", "last"]
    assert await server.ask("SELECT count(*) AS n, sum(id) AS s FROM written") == rows


async def test_a_gap_is_named_and_refused(server: Server) -> None:
    await server.fill()
    pod = server.pod
    async with pod.archiver():
        await pod.take()
        for number in range(3):
            await server.add(f"x{number}")
            if isinstance(server, OnPostgres):
                await server.ask("SELECT pg_switch_wal()")
            await server.archived()
    end = ".gz.age" if isinstance(server, OnPostgres) else ".json"
    folder = f"{server.folder}/{server.archive}"
    whole = pod.shell(f"ls {folder}/*{end} | grep -v partial").split()
    victim = whole[-2]
    pod.shell(f"mv {victim} /tmp/missing")
    moment = await server.until()
    assert moment is not None
    reason = await pod.refused("pitr", "--to", moment.isoformat())
    assert "gap" in reason
    assert await server.said() == ["a", "b", "x0", "x1", "x2"]
    pod.shell(f"mv /tmp/missing {victim}")
    await pod.do("pitr", "--to", moment.isoformat())


async def test_an_archiver_that_is_behind_says_so_and_is_ready_again_when_it_is_not(
    server: Server,
) -> None:
    await server.fill()
    await server.pod.take("--drill")
    pod, port = server.pod, free_port()
    # Its limit is 30 s and three rounds: what it never archived is behind at once.
    pod.shell(f"cp {SECRETS}/backup /tmp/password && chmod 600 /tmp/password")
    told = pod.spec["server"]
    account = {**told["backup"], "password_file": "/tmp/password"}
    pod.shell("echo wrong > /tmp/password")
    changes = {
        "server": {**told, "backup": account},
        "archive": {"interval_seconds": 0.2, "http_port": port},
    }
    async with pod.archiver(**changes):
        await eventually(lambda: _is(port, "/ready", 503))
        _, ready = await _get(port, "/ready")
        assert json.loads(ready)["checks"]["archive"] == "BackupError"
        # It is alive all the same: to start it again would mend nothing.
        assert (await _get(port, "/health"))[0] == 200
        _, metrics = await _get(port, "/metrics")
        assert "backup_archive_failures_total" in metrics
        lag = next(x for x in metrics.splitlines() if x.startswith("backup_archive_lag_seconds{"))
        assert float(lag.split()[-1]) > 0
        pod.shell(f"cat {SECRETS}/backup > /tmp/password")
        await eventually(lambda: _is(port, "/ready", 200))
        metrics = (await _get(port, "/metrics"))[1]
        assert "backup_archive_until_timestamp_seconds{" in metrics

        async def proven() -> bool:
            return "backup_newest_proven_timestamp_seconds{" in (await _get(port, "/metrics"))[1]

        await eventually(proven)


async def _get(port: int, path: str) -> tuple[int, str]:
    def ask() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://localhost:{port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    return await asyncio.to_thread(ask)


async def _is(port: int, path: str, status: int) -> bool:
    return (await _get(port, path))[0] == status


async def test_a_server_that_let_go_of_its_log_makes_a_gap_that_the_next_backup_heals(
    on_postgres: OnPostgres,
) -> None:
    server, pod = on_postgres, on_postgres.pod
    await server.fill()
    async with pod.archiver():
        await pod.take()
        await server.archived()
    settings = {
        "max_slot_wal_keep_size": "64MB",
        "max_wal_size": "64MB",
        "min_wal_size": "32MB",
    }
    for name, value in settings.items():
        await server.ask(f"ALTER SYSTEM SET {name} = '{value}'")
    await server.ask("SELECT pg_reload_conf()")
    for _ in range(10):
        await server.ask("INSERT INTO written DEFAULT VALUES", "SELECT pg_switch_wal()")
    await server.ask("CHECKPOINT")
    query = "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'millrace_archive'"
    assert (await server.ask(query))[0]["wal_status"] == "lost"
    for name in settings:
        await server.ask(f"ALTER SYSTEM RESET {name}")
    await server.ask("SELECT pg_reload_conf()")
    async with pod.archiver() as said:
        moment = await server.archived()
        assert "archive_gap" in pod.read(said)
        assert "gap" in await pod.refused("pitr", "--to", moment.isoformat())
        await pod.take()
        moment = await server.archived()
    await pod.do("pitr", "--to", moment.isoformat())
