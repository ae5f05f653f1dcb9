#!/usr/bin/env bash
# Whether MySQL takes statements; with the word `replicating`, whether a replica follows its source.
set -euo pipefail
ask() {
  # The password by way of a pipe: neither a command line nor a variable shows it.
  mysql --defaults-file=<(printf '[client]\npassword="%s"\n' "$(tr -d '\r\n' <@HEALTH@/password)") \
    --host=127.0.0.1 --port=@PORT@ --protocol=TCP --user=@USER@ --connect-timeout=3 \
    --ssl-mode=VERIFY_CA --ssl-ca=@TLS@/ca.crt --batch --skip-column-names --execute="$1"
}
if [ "${1:-}" = replicating ] && [ "${POD_NAME##*-}" != 0 ]; then
  ask "SELECT c.service_state = 'ON' AND a.service_state = 'ON' AND @@super_read_only
    FROM performance_schema.replication_connection_status c
    JOIN performance_schema.replication_applier_status a USING (channel_name)" | grep -qx 1
else
  ask "SELECT 1" | grep -qx 1
fi
