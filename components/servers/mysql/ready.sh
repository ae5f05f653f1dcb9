#!/usr/bin/env bash
# Whether MySQL takes statements; with the word `following`, whether a copy has what its source has.
set -euo pipefail
ask() {
  # The password by way of a pipe: neither a command line nor a variable shows it.
  mysql --defaults-file=<(printf '[client]\npassword="%s"\n' "$(tr -d '\r\n' <@HEALTH@/password)") \
    --host=127.0.0.1 --port=@PORT@ --protocol=TCP --user=@USER@ --connect-timeout=3 \
    --ssl-mode=VERIFY_CA --ssl-ca=@TLS@/ca.crt --batch --skip-column-names --execute="$1"
}
if [ "${1:-}" != following ]; then
  ask "SELECT 1" | grep -qx 1
  exit
fi

most=@MAX_LAG@
# How late a copy is, in seconds. It is what the oldest transaction has waited for that is on its way
# (fetched, handed out, applied), and how old those were that arrived since the last look: between
# two of them nothing is on its way, however far behind the copy is. With none at all it is 0, and
# nobody has to write a heartbeat. Times are the source's and this node's clocks.
late="SELECT COALESCE(MAX(TIMESTAMPDIFF(SECOND, committed, seen)), 0) FROM (
    SELECT queueing_transaction_original_commit_timestamp committed, NOW(6) seen
      FROM performance_schema.replication_connection_status WHERE queueing_transaction <> ''
    UNION ALL SELECT processing_transaction_original_commit_timestamp, NOW(6)
      FROM performance_schema.replication_applier_status_by_coordinator
      WHERE processing_transaction <> ''
    UNION ALL SELECT applying_transaction_original_commit_timestamp, NOW(6)
      FROM performance_schema.replication_applier_status_by_worker WHERE applying_transaction <> ''
    UNION ALL SELECT last_queued_transaction_original_commit_timestamp,
        last_queued_transaction_end_queue_timestamp
      FROM performance_schema.replication_connection_status
      WHERE last_queued_transaction_end_queue_timestamp > NOW(6) - INTERVAL 10 SECOND
    UNION ALL SELECT last_applied_transaction_original_commit_timestamp,
        last_applied_transaction_end_apply_timestamp
      FROM performance_schema.replication_applier_status_by_worker
      WHERE last_applied_transaction_end_apply_timestamp > NOW(6) - INTERVAL 10 SECOND) t"
read -r connection error applies lag < <(
  ask "SELECT c.service_state, c.last_error_number, a.service_state = 'ON' AND @@super_read_only,
      ($late)
    FROM performance_schema.replication_connection_status c
    JOIN performance_schema.replication_applier_status a USING (channel_name)"
)
if [ "$applies" = 1 ] && [ "$lag" -le "$most" ]; then
  case $connection:$error in
    ON:*)
      : >@FOLLOWED@
      exit 0
      ;;
    # The source does not answer (3032: it is offline for somebody who works on it). Who was close
    # behind it has what it had, and serves that. It is another thing to be refused there (a
    # password, a certificate, too many connections): the source goes on, and this copy stays behind.
    CONNECTING:0 | CONNECTING:1053 | CONNECTING:115[89] | CONNECTING:116[01] | CONNECTING:200[2356] | \
      CONNECTING:2013 | CONNECTING:3032)
      [ -e @FOLLOWED@ ]
      exit
      ;;
  esac
fi
rm -f @FOLLOWED@
exit 1
