#!/usr/bin/env bash
# Starts ProxySQL, and has it take other routes, users, passwords and certificates while it runs.
set -euo pipefail
run=@RUN@
# What is written here holds passwords; it lies in memory, for this user alone.
umask 077
rm -rf "${run:?}"/*
mkdir -p "$run/data" "$run/admin" @READ@

# Known to this pod alone and to nobody before: the administrator has no password but this one.
secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
admin=$(secret)
printf '  admin_credentials="millrace:%s"\n  stats_credentials="millrace_stats:%s"\n' \
  "$admin" "$(secret)" >"$run/admin.cnf"
printf '[client]\nuser=millrace\npassword=%s\nsocket=%s/admin/admin.sock\nprotocol=SOCKET\n' \
  "$admin" "$run" >"$run/admin.my.cnf"
unset admin
ask() { mysql --defaults-file="$run/admin.my.cnf" --connect-timeout=3 --batch --skip-column-names --execute="$1"; }

# Three files or none: it would make its own. By force: what is mounted may be for reading only, and
# so is what was copied of it before.
certificate() {
  cp -f @TLS@/tls.key "$run/data/proxysql-key.pem" &&
    cp -f @TLS@/tls.crt "$run/data/proxysql-cert.pem" &&
    cp -f @TLS@/ca.crt "$run/data/proxysql-ca.pem"
}
read_routes() { cp -Lf @ROUTES@/* @READ@/; }
same_routes() {
  local file
  for file in @ROUTES@/*; do
    cmp -s "$file" "@READ@/${file##*/}" || return 1
  done
}
load() {
  # Nobody's session ends by this. The rules come last: they say which routes these are.
  ask "DELETE FROM mysql_users; LOAD MYSQL USERS FROM CONFIG; LOAD MYSQL USERS TO RUNTIME;
    LOAD MYSQL VARIABLES FROM CONFIG; LOAD MYSQL VARIABLES TO RUNTIME;
    DELETE FROM mysql_servers; DELETE FROM mysql_replication_hostgroups;
    DELETE FROM mysql_query_rules;
    LOAD MYSQL SERVERS FROM CONFIG; LOAD MYSQL QUERY RULES FROM CONFIG;
    LOAD MYSQL SERVERS TO RUNTIME; LOAD MYSQL QUERY RULES TO RUNTIME;"
}

certificate
read_routes
start() {
  proxysql -f -c @CONFIG@/proxysql.cnf -D "$run/data" --initial --no-version-check --idle-threads &
  proxy=$!
}
serves() { (exec 3<>/dev/tcp/127.0.0.1/@PORT@) 2>/dev/null; }

# Kubernetes stops leading clients here meanwhile; those who are in a transaction may end it.
patience=@DRAIN@
# shellcheck disable=SC2329 # the trap calls it
drain() {
  touch "$run/draining"
  sleep 5
  ask "PROXYSQL PAUSE" || true
  local second
  for ((second = 0; second < patience; second++)); do
    [ "$(ask "SELECT COALESCE(SUM(ConnUsed), 0) FROM stats_mysql_connection_pool" || echo 0)" = 0 ] && break
    sleep 1
  done
  kill -TERM "$proxy" 2>/dev/null || true
}
trap drain TERM INT
start
# On a busy machine 2.7 may end here by a signal: one of its threads wakes another one up before that
# is there. Nobody is connected yet.
for ((again = 5; again > 0; again--)); do
  until serves || ! kill -0 "$proxy" 2>/dev/null; do sleep 0.2; done
  serves && break
  [ ! -e "$run/draining" ] || exit 0
  echo "ended while it started; once more" >&2
  start
done

follow() {
  local since=0 loaded=yes
  while sleep 2; do
    if ! cmp -s @TLS@/tls.crt "$run/data/proxysql-cert.pem" ||
      ! cmp -s @TLS@/ca.crt "$run/data/proxysql-ca.pem"; then
      # New connections get it, the others stay.
      certificate && ask "PROXYSQL RELOAD TLS" || echo "cannot take the certificate yet" >&2
    fi
    if [ -n "$loaded" ] && same_routes; then
      since=0
      continue
    fi
    # A password takes the place of another: clients hold both, once Kubernetes has brought them.
    [ "$since" != 0 ] || since=$SECONDS
    [ $((SECONDS - since)) -ge "$(sed -n 's/^@SETTLE@//p' @ROUTES@/routes.cnf)" ] || continue
    # First what is loaded, then that it was: the mounted files may be others by then.
    loaded=
    if read_routes && load; then
      loaded=yes
      since=0
      echo "goes by other routes now" >&2
    fi
  done
}
follow &

# A trap ends the first wait; what it did ends the process.
code=0
wait "$proxy" || code=$?
while kill -0 "$proxy" 2>/dev/null; do
  wait "$proxy" || code=$?
done
[ -e "$run/draining" ] && exit 0
exit "$code"
