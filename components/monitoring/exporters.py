"""What the exporters of each engine are started with, and the files that let them into servers.

Plain functions. One program asks all servers of its engine: who scrapes it names the server with
each request, and it connects for that answer alone. What nobody asks for is switched off, as every
collector is a query in every answer.
"""

import json
from collections.abc import Mapping
from typing import Final

from components.kit import paths
from components.monitoring.exporter import CONFIG_PATH
from components.monitoring.web import WEB_FILE

POSTGRES_PORT: Final = 9187
MYSQL_PORT: Final = 9104
REDIS_PORT: Final = 9121
_UNUSED_OF_POSTGRES: Final = (
    *("replication", "replication_slot", "roles", "stat_bgwriter", "stat_progress_vacuum"),
    *("stat_user_tables", "statio_user_tables"),
)
"""On unless told otherwise; `locks`, `database`, `stat_database` and `wal` are, too, and stay."""
_UNUSED_OF_MYSQL: Final = (
    *("info_schema.innodb_cmp", "info_schema.innodb_cmpmem", "info_schema.query_response_time"),
)
"""Likewise; `global_status`, `global_variables` and `slave_status` stay."""


def _web(port: int) -> tuple[str, ...]:
    return (
        f"--web.listen-address=:{port}",
        f"--web.config.file={CONFIG_PATH}/{WEB_FILE}",
        # A server that is away is told by its series, not by lines without end.
        "--log.level=error",
    )


def postgres_command(program: str = "/bin/postgres_exporter") -> tuple[str, ...]:
    return (
        program,
        f"--config.file={CONFIG_PATH}/postgres_exporter.yml",
        *_web(POSTGRES_PORT),
        *(f"--no-collector.{name}" for name in _UNUSED_OF_POSTGRES),
    )


def postgres_config(logins: Mapping[str, tuple[str, str]]) -> str:
    """`postgres_exporter.yml`: by server, a module to name with `auth_module`.

    Args:
        logins: server to user and password.
    """
    options = {"sslmode": "verify-full", "sslrootcert": paths.CA_FILE}
    modules = {
        server: {
            "type": "userpass",
            "userpass": {"username": user, "password": password},
            "options": {**options, "connect_timeout": "5", "application_name": "exporter"},
        }
        for server, (user, password) in logins.items()
    }
    return json.dumps({"auth_modules": modules})


def mysql_command(program: str = "/bin/mysqld_exporter") -> tuple[str, ...]:
    return (
        program,
        f"--config.my-cnf={CONFIG_PATH}/my.cnf",
        *_web(MYSQL_PORT),
        *(f"--no-collect.{name}" for name in _UNUSED_OF_MYSQL),
    )


def mysql_config(logins: Mapping[str, tuple[str, str]]) -> str:
    """`my.cnf`: by server, a section `client.<server>` to name with `auth_module`."""
    return "\n".join(
        f"[client.{server}]\nuser={user}\npassword={password}\nssl-ca={paths.CA_FILE}\n"
        for server, (user, password) in logins.items()
    )


def redis_command(user: str, program: str = "/redis_exporter") -> tuple[str, ...]:
    """`user`: the same on all servers."""
    return (
        program,
        f"--web.listen-address=:{REDIS_PORT}",
        f"--tls-server-cert-file={paths.TLS}/tls.crt",
        f"--tls-server-key-file={paths.TLS}/tls.key",
        f"--tls-ca-cert-file={paths.CA_FILE}",
        f"--redis.user={user}",
        f"--redis.password-file={CONFIG_PATH}/passwords.json",
        # It names no server by itself.
        "--redis.addr=",
        # What its account may not ask.
        "--config-command=-",
        "--exclude-latency-histogram-metrics",
        "--log-level=ERROR",
    )


def redis_config(logins: Mapping[str, tuple[str, str]]) -> str:
    """`passwords.json`: by the address that a scrape names, with the user in it.

    Args:
        logins: address (`rediss://redis-cache.data.svc:6379`) to user and password.
    """
    return json.dumps(
        {
            address.replace("//", f"//{user}@", 1): password
            for address, (user, password) in logins.items()
        }
    )
