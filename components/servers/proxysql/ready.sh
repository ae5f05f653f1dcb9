#!/usr/bin/env bash
# Whether ProxySQL takes clients, and has found a writer since it started. Later the writer may be
# away: no other replica would know a better one, and clients get an answer that says so.
set -euo pipefail
umask 077
[ ! -e @RUN@/draining ]
ask() {
  mysql --defaults-file=@RUN@/admin.my.cnf --connect-timeout=3 --batch --skip-column-names --execute="$1"
}
if [ ! -e @RUN@/found ]; then
  ask "SELECT COUNT(*) > 0 FROM runtime_mysql_servers s JOIN monitor.mysql_server_read_only_log l
    ON l.hostname = s.hostname AND l.port = s.port
    WHERE s.hostgroup_id = @WRITER@ AND s.status = 'ONLINE' AND l.error IS NULL" | grep -qx 1
  touch @RUN@/found
fi
ask "SELECT COUNT(*) > 0 FROM runtime_mysql_users" | grep -qx 1
(exec 3<>/dev/tcp/127.0.0.1/@PORT@)
