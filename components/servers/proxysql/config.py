"""The texts ProxySQL runs from: its configuration, what is read again while it runs, scripts."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.kit import paths
from components.kit.scripts import filled
from components.servers.proxysql.rules import READERS, WRITER, Rule, rules

CONFIG_PATH: Final = paths.config("proxysql")
ROUTES_PATH: Final = paths.secret("routes")
RUN_PATH: Final = "/run/proxysql"
"""In memory: what is written here holds passwords, and the socket of the administrator."""
ROUTES_READ: Final = f"{RUN_PATH}/read"
"""What it loads: the mounted files, as they were at one moment."""
DATA_PATH: Final = "/var/lib/proxysql"
"""The path the official image declares as a volume; nothing is kept there."""
PORT: Final = 3306
METRICS_PORT: Final = 6070
MONITOR_USER: Final = "proxysql_monitor"
HEARTBEAT: Final = "millrace.heartbeat"
"""View on every MySQL node whose column `ts` is as old as what can be read there. ProxySQL asks
`SHOW SLAVE STATUS` otherwise, which MySQL 9 does not know."""
MONITOR_CONNECTIONS: Final = 4
"""That one ProxySQL holds on a server beside those for statements."""
ROUTE_FILES: Final = ("accounts.cnf", "monitor.cnf", "routes.cnf")
SETTLE: Final = "# settle "
"""Begins the first line of routes.cnf; seconds follow."""
_READER_WEIGHT: Final = 1000
"""The writer's is 1: it answers plain reads when no reader does."""


@dataclass(frozen=True)
class Backend:
    """A MySQL node."""

    host: str
    port: int
    writer: bool


def proxysql_cnf(*, max_clients: int, threads: int) -> str:
    """What does not change while it runs; the rest is included from a mounted Secret."""
    return "\n".join(
        (
            f'datadir="{RUN_PATH}/data"',
            "admin_variables=",
            "{",
            f'@include "{RUN_PATH}/admin.cnf"',
            *_settings(
                {
                    # A socket in a folder of its own user: there is no port to reach.
                    "mysql_ifaces": f"{RUN_PATH}/admin/admin.sock",
                    "restapi_enabled": True,
                    "restapi_port": METRICS_PORT,
                    "web_enabled": False,
                }
            ),
            "}",
            "mysql_variables=",
            "{",
            f'@include "{ROUTES_READ}/monitor.cnf"',
            *_settings(_variables(max_clients, threads)),
            "}",
            f'@include "{ROUTES_READ}/accounts.cnf"',
            f'@include "{ROUTES_READ}/routes.cnf"',
            "",
        )
    )


def _variables(max_clients: int, threads: int) -> dict[str, str | int | bool]:
    return {
        "interfaces": f"0.0.0.0:{PORT}",
        "threads": threads,
        "max_connections": max_clients,
        # Said to clients before any server is asked.
        "server_version": "9.7.4",
        "default_authentication_plugin": "caching_sha2_password",
        "default_charset": "utf8mb4",
        # That of the servers (my.cnf): what a client gets that asks for one of MySQL 8's own
        # (utf8mb4_0900_…), which ProxySQL does not believe a server of another version to have.
        "default_collation_connection": "utf8mb4_unicode_ci",
        "have_ssl": True,
        "ssl_p2s_ca": paths.CA_FILE,
        # Multiplexing: no insert keeps its connection for what might be asked of it later.
        "multiplexing": True,
        "auto_increment_delay_multiplex": 0,
        # They are counted in the servers' max_connections anyway.
        "free_connections_pct": 100,
        "connection_max_age_ms": 3_600_000,
        "connect_timeout_server": 3_000,
        "connect_timeout_server_max": 5_000,
        "shun_recovery_time_sec": 1,
        # A client that forgot its transaction keeps one of few connections.
        "max_transaction_idle_time": 60_000,
        # Regular expressions that take time with the length of a statement and no more.
        "query_processor_regex": 2,
        "query_digests_max_digest_length": 8_192,
        "monitor_username": MONITOR_USER,
        "monitor_read_only_interval": 1_000,
        "monitor_read_only_timeout": 800,
        "monitor_ping_interval": 2_000,
        "monitor_slave_lag_when_null": 86_400,
        "monitor_replication_lag_interval": 1_000,
        "monitor_replication_lag_use_percona_heartbeat": HEARTBEAT,
        "monitor_writer_is_also_reader": True,
        # A pod that comes back has another address.
        "monitor_local_dns_cache_ttl": 30_000,
        "monitor_local_dns_cache_refresh_interval": 2_000,
    }


@dataclass(frozen=True)
class Routes:
    """What a proxy goes by, and reads again when it changes."""

    backends: Sequence[Backend]
    passwords: Mapping[str, str]
    """Of clients' accounts, the same on both sides of the proxy."""
    monitor: str
    """Password of who watches the servers."""
    connections: int
    max_lag_seconds: int
    settle_seconds: int = 0
    """How long clients are given to learn what is new before it counts."""

    @property
    def version(self) -> str:
        """Names all of it that a proxy loads; not secret, as no password is found from it."""
        text = "\0".join((self._accounts(), self._monitor(), self._routes("")))
        return f"routes-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def texts(self) -> dict[str, str]:
        """By file name."""
        settle = f"{SETTLE}{self.settle_seconds}\n"
        return {
            "accounts.cnf": self._accounts(),
            "monitor.cnf": self._monitor(),
            "routes.cnf": settle + self._routes(self.version),
        }

    def _monitor(self) -> str:
        """A line of the mysql_variables."""
        return f"  monitor_password={_value(self.monitor)}\n"

    def _accounts(self) -> str:
        return _list(
            "mysql_users",
            [
                {
                    "username": name,
                    "password": password,
                    "default_hostgroup": WRITER,
                    "use_ssl": 1,
                    "transaction_persistent": 1,
                    "active": 1,
                }
                for name, password in self.passwords.items()
            ],
        )

    def _routes(self, version: str) -> str:
        servers = [
            {
                "address": backend.host,
                "port": backend.port,
                "hostgroup": hostgroup,
                "weight": 1 if backend.writer else _READER_WEIGHT,
                "max_connections": self.connections,
                "max_replication_lag": 0 if backend.writer else self.max_lag_seconds,
                "use_ssl": 1,
            }
            for backend in self.backends
            for hostgroup in ((WRITER, READERS) if backend.writer else (READERS,))
        ]
        hostgroups = {
            "writer_hostgroup": WRITER,
            "reader_hostgroup": READERS,
            "check_type": "read_only",
        }
        return (
            _list("mysql_servers", servers)
            + _list("mysql_replication_hostgroups", [hostgroups])
            + _list("mysql_query_rules", [_rule(rule) for rule in rules(version)])
        )


def _rule(rule: Rule) -> dict[str, str | int]:
    found: dict[str, str | int] = {"rule_id": rule.number, "active": 1, "apply": 1}
    if rule.digest:
        found["match_digest"] = rule.digest
    if rule.pattern:
        found["match_pattern"] = rule.pattern
    if rule.negated:
        found["negate_match_pattern"] = 1
    if rule.answer:
        return found | {"error_msg": rule.answer, "comment": rule.why}
    return found | {"destination_hostgroup": rule.hostgroup, "comment": rule.why}


def start_script(*, drain_seconds: int) -> str:
    return filled(
        Path(__file__).with_name("start.sh"),
        {
            "RUN": RUN_PATH,
            "CONFIG": CONFIG_PATH,
            "ROUTES": ROUTES_PATH,
            "READ": ROUTES_READ,
            "TLS": paths.TLS,
            "DRAIN": drain_seconds,
            "PORT": PORT,
            "SETTLE": SETTLE,
        },
    )


def probe_script() -> str:
    return filled(
        Path(__file__).with_name("ready.sh"),
        {"RUN": RUN_PATH, "PORT": PORT, "WRITER": WRITER},
    )


def _settings(values: Mapping[str, str | int | bool]) -> list[str]:
    return [f"  {key}={_value(value)}" for key, value in values.items()]


def _list(name: str, rows: Sequence[Mapping[str, str | int]]) -> str:
    shown = ("  { " + ", ".join(f"{k}={_value(v)}" for k, v in row.items()) + " }" for row in rows)
    return f"{name}=\n(\n" + ",\n".join(shown) + "\n)\n"


def _value(value: str | int | bool) -> str:
    if isinstance(value, bool):
        # Variables are texts to ProxySQL: of a bare one it would take nothing.
        return '"true"' if value else '"false"'
    if isinstance(value, int):
        return str(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
