"""A proxy as the cluster starts it: who gets in, and who never does."""

from __future__ import annotations

import asyncio
import ssl
import urllib.request
from pathlib import Path

import pytest
from pymysql.err import MySQLError, OperationalError

from components.servers.proxysql import config
from services.shared.mysql.connections import connect
from tests.integration.authority import PATIENCE, Authority, eventually
from tests.integration.containers import Containers
from tests.integration.proxysql_container import start_proxy
from tests.integration.proxysql_platform import DATABASE, Platform, client, run, tls

DEFAULTS = ("admin", "radmin", "stats")
_LISTENING = "0A"
_TRY = """
while true; do
  for who in admin radmin stats; do
    for where in --host=127.0.0.1 --host=$(hostname -i); do
      mysql --no-defaults --protocol=TCP $where --port=6032 --user=$who --password=$who \
        --connect-timeout=1 --execute='SELECT 1' >/dev/null 2>&1 && echo "$who $where" >>/tmp/in
    done
    socket=/run/proxysql/admin/admin.sock
    mysql --no-defaults --socket=$socket --user=$who --password=$who --execute='SELECT 1' \
      >/dev/null 2>&1 && echo "$who socket" >>/tmp/in
    [ -S $socket ] && echo met >>/tmp/tried
  done
done
"""


async def test_both_hops_are_encrypted(platform: Platform) -> None:
    (here,) = await platform.ask("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
    assert here["Value"], "to the server"
    async with client(platform.settings()) as connection:
        stream = tls(connection)
        assert isinstance(stream, ssl.SSLObject)


async def test_a_client_without_tls_is_refused(platform: Platform) -> None:
    settings = platform.settings()
    code, output = platform.source.container.ask(
        *("mysql", "--no-defaults", "--protocol=TCP", "--host=proxysql-0", "--ssl-mode=DISABLED"),
        *(f"--user={settings.user}", f"--password={settings.password_file.read_text()}"),
        *("--get-server-public-key", "--execute=SELECT 1"),
    )
    assert code != 0
    assert "Access denied" in output or "caching_sha2" in output, output


async def test_a_client_checks_the_proxys_certificate(platform: Platform, tmp_path: Path) -> None:
    strangers = Authority.make(tmp_path).ca_file
    settings = platform.settings().model_copy(update={"ca_file": strangers})
    with pytest.raises(MySQLError) as raised:
        await connect(settings, "test", connect_timeout=PATIENCE)
    assert "CERTIFICATE_VERIFY_FAILED" in str(raised.value.__cause__)


async def test_a_server_with_a_certificate_of_another_ca_gets_no_statement(
    containers: Containers, platform: Platform, tmp_path: Path
) -> None:
    proxy = start_proxy(
        containers,
        platform.proxy.authority,
        platform.routes,
        name="proxysql-deceived",
        trusted=Authority.make(tmp_path).ca_pem,
    )

    async def refused() -> bool:
        return "self-signed certificate in certificate chain" in proxy.container.logs()

    await eventually(refused)
    assert not proxy.ready()
    with pytest.raises(OperationalError):
        await platform.ask("SELECT name FROM node", proxy=proxy)
    proxy.container.remove()


async def test_a_wrong_password_is_refused(platform: Platform) -> None:
    wrong = platform.settings().model_copy(
        update={"password_file": platform.proxy.authority.secret("wrong")}
    )
    with pytest.raises(OperationalError, match="Access denied"):
        await connect(wrong, "test", connect_timeout=PATIENCE)


async def test_the_administrator_has_no_port_and_no_default_password_at_any_moment(
    containers: Containers, platform: Platform
) -> None:
    proxy = start_proxy(
        containers,
        platform.proxy.authority,
        platform.routes,
        name="proxysql-tried",
        before=f"({_TRY}) &",
    )
    await proxy.wait()

    async def tried() -> bool:
        code, output = proxy.container.ask("wc", "-l", "/tmp/tried")
        return code == 0 and int(output.split()[0]) > 5

    await eventually(tried)
    code, output = proxy.container.ask("cat", "/tmp/in")
    assert code != 0, f"got in: {output}"
    _, sockets = proxy.container.ask("cat", "/proc/net/tcp", "/proc/net/tcp6")
    rows = [line.split() for line in sockets.splitlines() if ":" in line]
    open_ports = {int(r[1].rpartition(":")[2], 16) for r in rows if r[3] == _LISTENING}
    # The engine's name server has a port of its own in every container.
    loopback = {int(r[1].rpartition(":")[2], 16) for r in rows if r[1].startswith("0B00007F")}
    assert open_ports - loopback == {config.PORT, config.METRICS_PORT}
    proxy.container.remove()


async def test_no_password_is_in_its_log_or_its_command_line(platform: Platform) -> None:
    words = [*platform.routes.passwords.values(), platform.routes.monitor]
    _, processes = platform.proxy.container.ask("bash", "-c", "cat /proc/[0-9]*/cmdline")
    _, environments = platform.proxy.container.ask("bash", "-c", "cat /proc/[0-9]*/environ")
    _, files = platform.proxy.container.ask(
        "bash", "-c", f"find {config.RUN_PATH} -type f -perm /077"
    )
    for word in words:
        for text in (processes, environments, platform.proxy.container.logs()):
            assert word not in text
    assert not files, "others may read them"


async def test_metrics_are_there_for_prometheus(platform: Platform) -> None:
    port = platform.proxy.container.ports[config.METRICS_PORT]

    def fetch() -> str:
        with urllib.request.urlopen(f"http://localhost:{port}/metrics", timeout=PATIENCE) as got:
            return got.read().decode()

    text = await asyncio.to_thread(fetch)
    for name in ("proxysql_connpool_conns", "proxysql_queries_", "proxysql_servers_table"):
        assert name in text, name


async def test_both_hostgroups_have_the_collation_of_the_servers(platform: Platform) -> None:
    async with client(platform.settings()) as connection:
        # One that ProxySQL does not know of MySQL 9 it puts the default in the place of.
        for asked in ("utf8mb4_unicode_ci", "utf8mb4_0900_as_cs"):
            await run(connection, f"SET NAMES utf8mb4 COLLATE {asked}")
            for hint in ("", "/* writer */"):
                found = await run(connection, f"SELECT {hint} COLLATION('a') AS c")
                assert found == [{"c": "utf8mb4_unicode_ci"}], hint


async def test_the_monitor_reads_what_it_needs_and_nothing_else(platform: Platform) -> None:
    grants = await platform.source.as_admin("SHOW GRANTS FOR proxysql_monitor")
    assert sorted(one for row in grants for one in row.values()) == [
        "GRANT SELECT ON `millrace`.* TO `proxysql_monitor`@`%`",
        "GRANT USAGE ON *.* TO `proxysql_monitor`@`%`",
    ]
    assert DATABASE not in str(grants)
