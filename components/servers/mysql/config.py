"""The texts a MySQL server runs from: its configuration, its scripts and its probe."""

from pathlib import Path
from typing import Final

from components.kit import paths
from components.kit.scripts import filled

CONFIG_PATH: Final = paths.config("mysql")
ADMIN_PATH: Final = paths.secret("admin")
HEALTH_PATH: Final = paths.secret("health")
REPLICATION_PATH: Final = paths.secret("replication")
DATA_PATH: Final = "/var/lib/mysql"
"""The path the official image declares as a volume; the data lives in a folder below it, which
the server owns with mode 0700 whoever owns the volume's root."""
SOCKET_PATH: Final = "/run/mysqld"
FOLLOWED_FILE: Final = f"{SOCKET_PATH}/followed"
"""There while a copy, when it last could ask its source, was close behind it."""
BINARIES: Final = "/usr/sbin"
PORT: Final = 3306
ADMIN_PORT: Final = 33062
"""For probes, inside the pod alone: it takes connections when `max_connections` are used up."""
HEALTH_USER: Final = "health"
REPLICATION_USER: Final = "replication"


def my_cnf(
    *, max_connections: int, buffer_pool_mebibytes: int, binlog_retention_seconds: int
) -> str:
    """The whole configuration; nothing of it lives in the data directory."""
    values = {
        "bind_address": "*",
        "port": PORT,
        "socket": f"{SOCKET_PATH}/mysqld.sock",
        "pid_file": f"{SOCKET_PATH}/mysqld.pid",
        "mysqlx": "OFF",
        "skip_name_resolve": "ON",
        "admin_address": "127.0.0.1",
        "admin_port": ADMIN_PORT,
        # Its own thread: the one that serves everybody else may be busy with a storm of them.
        "create_admin_listener_thread": "ON",
        "ssl_ca": f"{paths.TLS}/ca.crt",
        "ssl_cert": f"{paths.TLS}/tls.crt",
        "ssl_key": f"{paths.TLS}/tls.key",
        "tls_version": "TLSv1.2,TLSv1.3",
        "require_secure_transport": "ON",
        # Nothing is read from or written to files on behalf of a client.
        "local_infile": "OFF",
        "secure_file_priv": "NULL",
        "character_set_server": "utf8mb4",
        "collation_server": "utf8mb4_unicode_ci",
        "default_time_zone": "'+00:00'",
        "max_connections": max_connections,
        "innodb_buffer_pool_size": f"{buffer_pool_mebibytes}M",
        # What was acknowledged is in both logs and on the disk.
        "innodb_flush_log_at_trx_commit": 1,
        "sync_binlog": 1,
        "log_bin": "binlog",
        "gtid_mode": "ON",
        "enforce_gtid_consistency": "ON",
        "binlog_expire_logs_seconds": binlog_retention_seconds,
        "max_binlog_size": "100M",
        # Replicas start theirs by the start script, with the password of that day.
        "skip_replica_start": "ON",
        "plugin_load_add": "mysql_clone.so",
        # It has every value of a statement, which are what clients sent; without them there is
        # performance_schema.events_statements_summary_by_digest.
        "slow_query_log": "OFF",
        # A connection that somebody forgot keeps its place among few.
        "wait_timeout": 3600,
        "interactive_timeout": 3600,
    }
    return "[mysqld]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())


def start_script() -> str:
    return filled(
        Path(__file__).with_name("start.sh"),
        {
            "BINARIES": BINARIES,
            "DATA": DATA_PATH,
            "RUN": SOCKET_PATH,
            "CONFIG": CONFIG_PATH,
            "ADMIN": ADMIN_PATH,
            "HEALTH": HEALTH_PATH,
            "REPLICATION": REPLICATION_PATH,
            "FOLLOWED": FOLLOWED_FILE,
            "TLS": paths.TLS,
            "PORT": PORT,
            "HEALTH_USER": HEALTH_USER,
            "REPLICATION_USER": REPLICATION_USER,
        },
    )


def probe_script(*, max_lag_seconds: int) -> str:
    return filled(
        Path(__file__).with_name("ready.sh"),
        {
            "FOLLOWED": FOLLOWED_FILE,
            "MAX_LAG": max_lag_seconds,
            "HEALTH": HEALTH_PATH,
            "TLS": paths.TLS,
            "PORT": ADMIN_PORT,
            "USER": HEALTH_USER,
        },
    )


def adopt_script() -> str:
    return filled(
        Path(__file__).with_name("adopt.sh"),
        {
            "ADMIN": ADMIN_PATH,
            "RUN": SOCKET_PATH,
            "REPLICATION": REPLICATION_PATH,
            "REPLICATION_USER": REPLICATION_USER,
            "TLS": paths.TLS,
            "PORT": PORT,
        },
    )
