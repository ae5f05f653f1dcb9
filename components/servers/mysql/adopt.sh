#!/usr/bin/env bash
# Gives a source that lost its volume the data of a copy: bash adopt.sh HOST, by hand, in the source.
# The server ends with it, and its next start has the copy's databases, accounts and history.
set -euo pipefail
donor=${1:?which copy? Its host name, please}
password() { tr -d '\r\n' <"$1/password"; }
as_root() {
  mysql --defaults-file=<(printf '[client]\npassword="%s"\n' "$(password @ADMIN@)") --user=root \
    --socket=@RUN@/mysqld.sock --batch --skip-column-names
}
if [ -n "${SOURCE_HOST:-}" ]; then
  echo "this is a copy itself; run it in the source" >&2
  exit 1
fi
own=$(as_root <<<"SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN
  ('information_schema', 'mysql', 'performance_schema', 'sys')")
if [ -n "$own" ]; then
  echo "this server has databases, which would be gone: ${own//$'\n'/, }. Only an empty one takes" \
    "those of a copy" >&2
  exit 1
fi
secret=$(password @REPLICATION@)
# Nobody but this script from here on. What a service wrote now would be gone; and a copy that asks
# for the log while it is thrown away is told that it misses a part of it, and never asks again. Of
# one that is offline copies know that it will be back.
trap 'as_root <<<"SET GLOBAL offline_mode = OFF" || true' EXIT
as_root <<<"SET GLOBAL offline_mode = ON"
for ((tries = 0; ; tries++)); do
  readers=$(as_root <<<"SELECT COUNT(*) FROM performance_schema.processlist
    WHERE command LIKE 'Binlog Dump%'")
  [ "$readers" != 0 ] || break
  if [ "$tries" = 60 ]; then
    echo "$readers copies still read the log of this server, which was told to be offline" >&2
    exit 1
  fi
  sleep 0.5
done
said=$(
  as_root 2>&1 <<SQL
SET GLOBAL clone_valid_donor_list = '$donor:@PORT@', GLOBAL clone_ssl_ca = '@TLS@/ca.crt';
CLONE INSTANCE FROM '@REPLICATION_USER@'@'$donor':@PORT@ IDENTIFIED BY '$secret' REQUIRE SSL;
SQL
) || true
# It has no one to restart it but the kubelet, and says so as an error when all is well.
case $said in
  *"ERROR 3707 "*)
    trap - EXIT
    echo "the data of $donor are here; the server ends and starts with them"
    ;;
  *)
    echo "$said" >&2
    exit 1
    ;;
esac
