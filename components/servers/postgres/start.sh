#!/usr/bin/env bash
# Starts PostgreSQL. Works with the official image and with any that has the binaries.
set -euo pipefail
bin=@BINARIES@
export PGDATA=@DATA@/pgdata
fresh=@DATA@/initdb.unfinished
password_file=@ADMIN@/password

# SIGTERM alone would wait for every client to leave; SIGINT ends their transactions and stops.
# Before the server runs, the step at hand is finished first.
# shellcheck disable=SC2329 # called by the trap
stop() {
  # $! and not a variable set from it: a signal may come between the start and the assignment.
  [ -n "${!:-}" ] || exit 143
  # More than once: what bash starts in the background ignores SIGINT until it says otherwise.
  while kill -INT "$!" 2>/dev/null; do sleep 0.2; done
}
trap stop TERM INT

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

# Locks of a server that was killed name a process, and by now that number may be another's: of this
# script's own. Whoever holds the volume has just started, so whose they are is gone; a server in
# another pod would not be seen by its number either.
rm -f "$PGDATA/postmaster.pid" @RUN@/.s.PGSQL.*.lock

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

# Another certificate is taken without a restart: new connections get it, the others stay. Compared
# by what bash can do itself: a program every few seconds, in every pod, adds up. Started by another
# shell, as $! is for who is to be stopped.
certificate() { IFS= read -r -d '' "$1" <@TLS@/tls.crt || true; }
certificate served
(
  while sleep 20; do
    certificate mounted
    # shellcheck disable=SC2154 # set by name
    if [ "$mounted" != "$served" ] && read -r postmaster <"$PGDATA/postmaster.pid"; then
      kill -HUP "$postmaster"
      served=$mounted
    fi
  done &
)

"$bin/postgres" -D "$PGDATA" -c config_file=@CONFIG@/postgresql.conf &
# A trapped signal ends `wait` early, with a status of its own: the server's is asked for at its end.
while kill -0 "$!" 2>/dev/null; do
  wait "$!" || true
done
status=0
wait "$!" || status=$?
exit "$status"
