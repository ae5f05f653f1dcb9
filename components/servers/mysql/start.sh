#!/usr/bin/env bash
# Starts MySQL. Works with the official image and with any that has the binaries.
# A node with SOURCE_HOST is a read-only copy of the one there; without, it is the source.
# POD_NAME ends in the ordinal, by which copies tell themselves apart.
set -euo pipefail
mysqld=@BINARIES@/mysqld
data=@DATA@/data
fresh=@DATA@/fresh.unfinished
helper=@DATA@/helper.unfinished
accounts=@RUN@/accounts.sql
source=${SOURCE_HOST:-}
server_id=1
if [ -n "$source" ]; then
  server_id=$((${POD_NAME##*-} + 2))
fi
umask 077

# Until the server itself runs: bash takes the signal when the step at hand is done.
trap 'exit 143' TERM INT

# Of a mounted Secret. What goes between quotes in SQL must not hold one.
password() {
  local value
  value=$(tr -d '\r\n' <"$1/password")
  case $value in
    '' | *[!A-Za-z0-9]*)
      echo "$1/password must hold letters and digits only; let Pulumi generate it" >&2
      return 1
      ;;
  esac
  printf %s "$value"
}

# A copy of the source as it stands, taken by a server of nothing that is thrown away afterwards.
clone() {
  rm -rf "$helper"
  local config=--defaults-file=@CONFIG@/my.cnf # the source wants the same character sets
  "$mysqld" "$config" --initialize-insecure --datadir="$helper"
  "$mysqld" "$config" --datadir="$helper" --skip-networking --disable-log-bin --slow-query-log=OFF \
    --socket=@RUN@/helper.sock --pid-file=@RUN@/helper.pid &
  local secret
  secret=$(password @REPLICATION@)
  until mysql --no-defaults --socket=@RUN@/helper.sock --user=root 2>&1 <<SQL; do
SET GLOBAL clone_valid_donor_list = '$source:@PORT@', GLOBAL clone_ssl_ca = '@TLS@/ca.crt';
CLONE INSTANCE FROM '@REPLICATION_USER@'@'$source':@PORT@ IDENTIFIED BY '$secret'
  DATA DIRECTORY = '$fresh' REQUIRE SSL;
SQL
    kill -0 "$!" || exit 1
    echo "no copy of $source yet; trying again" >&2
    sleep 2
    rm -rf "$fresh"
  done
  kill "$!"
  wait "$!" || true
  rm -rf "$helper"
}

if [ ! -s "$data/mysql.ibd" ]; then
  if [ -e "$data" ]; then
    echo "$data exists but holds no data of MySQL: refusing to initialise over it." \
      "Restore the volume, or delete its claim to start anew." >&2
    exit 1
  fi
  # Interrupted, it leaves only folders that the next start throws away.
  rm -rf "$fresh"
  if [ -z "$source" ]; then
    "$mysqld" --defaults-file=@CONFIG@/my.cnf --initialize-insecure --datadir="$fresh"
  else
    clone
  fi
  sync
  mv "$fresh" "$data"
  sync
fi

# Accounts of the server itself follow their Secrets on every start, before anyone can connect.
# Each node sets its own: they are no transaction that replicas would have to be given.
root=$(password @ADMIN@)
health=$(password @HEALTH@)
account() { # name@host, its password, REQUIRE or nothing
  printf "CREATE USER IF NOT EXISTS %s;\nALTER USER %s IDENTIFIED BY '%s' %s ACCOUNT UNLOCK;\n" \
    "$1" "$1" "$2" "$3"
}
{
  echo "SET sql_log_bin = 0;"
  echo "SET GLOBAL super_read_only = OFF;"
  account "root@localhost" "$root" "" # over the socket: a name never comes from the network
  account "root@'%'" "$root" "REQUIRE SSL"
  echo "GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;"
  account "@HEALTH_USER@@127.0.0.1" "$health" "REQUIRE SSL"
  echo "GRANT SERVICE_CONNECTION_ADMIN ON *.* TO @HEALTH_USER@@127.0.0.1;"
  if [ -e @REPLICATION@/password ]; then
    replication=$(password @REPLICATION@)
    account "@REPLICATION_USER@@'%'" "$replication" "REQUIRE SSL"
    echo "GRANT BACKUP_ADMIN, REPLICATION SLAVE ON *.* TO @REPLICATION_USER@@'%';"
    for table in connection_status applier_status applier_status_by_worker \
      applier_status_by_coordinator; do
      echo "GRANT SELECT ON performance_schema.replication_$table TO @HEALTH_USER@@127.0.0.1;"
    done
  fi
  # Whom it followed may be left from a copy whose data it was given.
  echo "RESET REPLICA ALL;"
  if [ -n "$source" ]; then
    echo "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '$source', SOURCE_PORT = @PORT@," \
      "SOURCE_AUTO_POSITION = 1, SOURCE_SSL = 1, SOURCE_SSL_CA = '@TLS@/ca.crt'," \
      "SOURCE_SSL_VERIFY_SERVER_CERT = 1, SOURCE_CONNECT_RETRY = 5, SOURCE_RETRY_COUNT = 0;"
    echo "SET GLOBAL super_read_only = ON;"
    # Given here, it is kept in memory alone.
    echo "START REPLICA USER = '@REPLICATION_USER@' PASSWORD = '$replication';"
  fi
} >"$accounts"

rm -f @FOLLOWED@
# Another certificate is taken without a restart: new connections get it, the others stay.
certificate() { IFS= read -r -d '' "$1" <@TLS@/tls.crt || true; }
certificate served
reload_tls() {
  local root
  root=$(password @ADMIN@) || return
  mysql --defaults-file=<(printf '[client]\npassword="%s"\n' "$root") --user=root \
    --socket=@RUN@/mysqld.sock --connect-timeout=3 --execute="ALTER INSTANCE RELOAD TLS"
}
while sleep 20; do
  certificate mounted
  # shellcheck disable=SC2154 # set by name
  if [ "$mounted" != "$served" ] && reload_tls; then
    served=$mounted
  fi
done &

more=()
if [ -n "$source" ]; then
  more=(--super-read-only)
fi
exec "$mysqld" --defaults-file=@CONFIG@/my.cnf --datadir="$data" --init-file="$accounts" \
  --server-id="$server_id" --report-host="${POD_NAME}" "${more[@]}"
