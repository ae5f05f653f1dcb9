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
said=$(
  as_root 2>&1 <<SQL
SET GLOBAL clone_valid_donor_list = '$donor:@PORT@', GLOBAL clone_ssl_ca = '@TLS@/ca.crt';
CLONE INSTANCE FROM '@REPLICATION_USER@'@'$donor':@PORT@ IDENTIFIED BY '$secret' REQUIRE SSL;
SQL
) || true
# It has no one to restart it but the kubelet, and says so as an error when all is well.
case $said in
  *"ERROR 3707 "*) echo "the data of $donor are here; the server ends and starts with them" ;;
  *)
    echo "$said" >&2
    exit 1
    ;;
esac
