"""The texts a PostgreSQL server runs from: its configuration, passwd and start script."""

from typing import Final

CONFIG_PATH: Final = "/etc/millrace/postgres"
TLS_PATH: Final = "/etc/millrace/tls"
ADMIN_PATH: Final = "/etc/millrace/secrets/admin"
DATA_PATH: Final = "/var/lib/postgresql/data"
"""The path the official image declares as a volume; the cluster lives in a folder below it, which
the server owns with mode 0700 whoever owns the volume's root."""
SOCKET_PATH: Final = "/run/postgresql"
BINARIES: Final = "/usr/lib/postgresql/17/bin"
PORT: Final = 5432


def postgresql_conf(*, max_connections: int, shared_buffers_mebibytes: int) -> str:
    """The whole configuration; nothing of it lives in the data directory."""
    values = {
        "listen_addresses": "'*'",
        "port": PORT,
        "unix_socket_directories": f"'{SOCKET_PATH}'",
        "hba_file": f"'{CONFIG_PATH}/pg_hba.conf'",
        "ssl": "on",
        "ssl_cert_file": f"'{TLS_PATH}/tls.crt'",
        "ssl_key_file": f"'{TLS_PATH}/tls.key'",
        "ssl_min_protocol_version": "'TLSv1.2'",
        "password_encryption": "'scram-sha-256'",
        "max_connections": max_connections,
        "shared_buffers": f"'{shared_buffers_mebibytes}MB'",
        # A volume is neither shared nor replicated here, so full durability stays on.
        "wal_level": "'replica'",
        "max_wal_size": "'1GB'",
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
        "log_lock_waits": "on",
        "timezone": "'UTC'",
        "log_timezone": "'UTC'",
    }
    return "".join(f"{key} = {value}\n" for key, value in values.items())


def pg_hba_conf() -> str:
    """TLS and SCRAM from the network; the superuser by its own uid on the socket; nothing else."""
    return (
        "# type  database  user      address  method\n"
        "local   all       postgres           peer\n"
        "hostssl all       all       all      scram-sha-256\n"
    )


def passwd(uid: int) -> str:
    """/etc/passwd: `initdb` and peer authentication look the uid's name up, and no image has it."""
    return (
        "root:x:0:0:root:/root:/usr/sbin/nologin\n"
        f"postgres:x:{uid}:{uid}:PostgreSQL:{DATA_PATH}:/usr/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    )


_START: Final = r"""#!/usr/bin/env bash
# Starts PostgreSQL. Works with the official image and with any that has the binaries.
set -euo pipefail
bin=@BINARIES@
export PGDATA=@DATA@/pgdata
fresh=@DATA@/initdb.unfinished
password_file=@ADMIN@/password

# SIGTERM alone would wait for every client to leave; SIGINT ends their transactions and stops.
# Before the server runs, the step at hand is finished first.
# $! and not a variable set from it: a signal may come between the start and the assignment.
trap 'if [ -n "${!:-}" ]; then kill -INT "$!"; else exit 143; fi' TERM INT

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -e "$PGDATA" ]; then
    echo "$PGDATA exists but holds no cluster: refusing to initialise over it." \
      "Restore the volume, or delete its claim to start anew." >&2
    exit 1
  fi
  # Interrupted, it leaves only a folder that the next start throws away.
  rm -rf "$fresh"
  "$bin/initdb" --pgdata="$fresh" --username=postgres --pwfile="$password_file" \
    --auth-local=peer --auth-host=scram-sha-256 --data-checksums --encoding=UTF8 \
    --locale-provider=builtin --locale=C.UTF-8 --no-instructions
  mv "$fresh" "$PGDATA"
  sync
fi

# The superuser's password follows its Secret on every start, before anyone can connect.
password=$(tr -d '\r\n' <"$password_file")
case $password in
  '' | *[!A-Za-z0-9]*)
    echo "$password_file must hold letters and digits only; let Pulumi generate it" >&2
    exit 1
    ;;
esac
printf "ALTER ROLE postgres PASSWORD '%s'\n" "$password" |
  "$bin/postgres" --single -D "$PGDATA" -c config_file=@CONFIG@/postgresql.conf \
    -c log_statement=none -c log_min_error_statement=panic -c log_min_duration_statement=-1 \
    postgres >/dev/null
unset password

"$bin/postgres" -D "$PGDATA" -c config_file=@CONFIG@/postgresql.conf &
server=$!
status=0
wait "$server" || status=$?
# A trapped signal ends `wait` early: wait again until the server itself has ended.
while kill -0 "$server" 2>/dev/null; do
  status=0
  wait "$server" || status=$?
done
exit "$status"
"""


def start_script() -> str:
    text = _START
    for name, value in {
        "BINARIES": BINARIES,
        "DATA": DATA_PATH,
        "ADMIN": ADMIN_PATH,
        "CONFIG": CONFIG_PATH,
    }.items():
        text = text.replace(f"@{name}@", value)
    return text
