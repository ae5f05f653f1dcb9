"""The texts a PostgreSQL server runs from: its configuration, passwd and start script."""

from pathlib import Path
from typing import Final

from components.kit import paths
from components.kit.scripts import filled

CONFIG_PATH: Final = paths.config("postgres")
ADMIN_PATH: Final = paths.secret("admin")
DATA_PATH: Final = "/var/lib/postgresql/data"
"""The path the official image declares as a volume; the cluster lives in a folder below it, which
the server owns with mode 0700 whoever owns the volume's root."""
SOCKET_PATH: Final = "/run/postgresql"
BINARIES: Final = "/usr/lib/postgresql/17/bin"
PORT: Final = 5432
BACKUP_USER: Final = "backup_user"
"""Reads the write-ahead log and the files of the whole server, and nothing by SQL."""


def postgresql_conf(
    *,
    max_connections: int,
    shared_buffers_mebibytes: int,
    flushes_per_second: int | None = None,
    slot_mebibytes: int = 1024,
) -> str:
    """The whole configuration; nothing of it lives in the data directory.

    `flushes_per_second` bounds those of the write-ahead log: before each, the first that commits
    waits for others, even where there are none. `slot_mebibytes` of the log are kept for an
    archiver that is away: when it has been away for more, the archive has a gap.
    """
    values = {
        "listen_addresses": "'*'",
        "port": PORT,
        "unix_socket_directories": f"'{SOCKET_PATH}'",
        "hba_file": f"'{CONFIG_PATH}/pg_hba.conf'",
        "ssl": "on",
        "ssl_cert_file": f"'{paths.TLS}/tls.crt'",
        "ssl_key_file": f"'{paths.TLS}/tls.key'",
        "ssl_min_protocol_version": "'TLSv1.2'",
        "password_encryption": "'scram-sha-256'",
        "max_connections": max_connections,
        "shared_buffers": f"'{shared_buffers_mebibytes}MB'",
        # A volume is neither shared nor replicated here, so full durability stays on.
        "wal_level": "'replica'",
        "max_wal_size": "'1GB'",
        # Who archives the log holds it back while it is away; a full volume would stop the server.
        "max_slot_wal_keep_size": f"'{slot_mebibytes}MB'",
        "checkpoint_completion_target": 0.9,
        # A transaction someone forgot holds back vacuum and the outbox relay's horizon.
        "idle_in_transaction_session_timeout": "'60s'",
        "transaction_timeout": "'300s'",
        # Notices within seconds that the client of a long query is gone.
        "client_connection_check_interval": "'10s'",
        "tcp_keepalives_idle": 60,
        "tcp_keepalives_interval": 10,
        "tcp_keepalives_count": 3,
        "track_io_timing": "on",
        "log_destination": "'stderr'",
        "logging_collector": "off",
        "log_line_prefix": "'%m [%p] %q%u@%d/%a '",
        "log_min_duration_statement": "'1s'",
        # Not with the values that it was given: they are what clients sent.
        "log_parameter_max_length": 0,
        "log_lock_waits": "on",
        "timezone": "'UTC'",
        "log_timezone": "'UTC'",
    }
    if flushes_per_second is not None:
        values |= {"commit_delay": 1_000_000 // flushes_per_second, "commit_siblings": 0}
    return "".join(f"{key} = {value}\n" for key, value in values.items())


def pg_hba_conf() -> str:
    """TLS and SCRAM from the network; the superuser by its own uid on the socket; nothing else.

    `all` leaves replication out: only the account that takes backups may read the log, as either
    of its two logins.
    """
    return (
        "# type  database     user         address  method\n"
        "local   all          postgres              peer\n"
        "hostssl all          all          all      scram-sha-256\n"
        f"hostssl replication  {BACKUP_USER},{BACKUP_USER}_b  all  scram-sha-256\n"
    )


def passwd(uid: int) -> str:
    """/etc/passwd: `initdb` and peer authentication look the uid's name up, and no image has it."""
    return (
        "root:x:0:0:root:/root:/usr/sbin/nologin\n"
        f"postgres:x:{uid}:{uid}:PostgreSQL:{DATA_PATH}:/usr/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    )


def start_script() -> str:
    return filled(
        Path(__file__).with_name("start.sh"),
        {
            "BINARIES": BINARIES,
            "DATA": DATA_PATH,
            "ADMIN": ADMIN_PATH,
            "CONFIG": CONFIG_PATH,
            "TLS": paths.TLS,
            "RUN": SOCKET_PATH,
        },
    )
