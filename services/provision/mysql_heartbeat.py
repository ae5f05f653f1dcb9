"""How old what a MySQL node knows is, as a view that who watches replicas may read."""

from __future__ import annotations

from typing import Final

SCHEMA: Final = "millrace"
"""Holds views of the platform's own and nothing that has to be kept."""

VIEW: Final = """
CREATE OR REPLACE SQL SECURITY DEFINER VIEW millrace.heartbeat AS
SELECT CASE
    WHEN c.service_state IS NULL THEN SYSDATE(6)
    WHEN a.service_state <> 'ON' THEN TIMESTAMP '2000-01-01 00:00:00'
    WHEN c.service_state = 'ON' THEN SYSDATE(6) - INTERVAL w.late MICROSECOND
    WHEN c.service_state <> 'CONNECTING' OR c.last_error_number NOT IN
        (0, 1053, 1158, 1159, 1160, 1161, 2002, 2003, 2005, 2006, 2013, 3032)
      THEN TIMESTAMP '2000-01-01 00:00:00'
    WHEN c.last_heartbeat_timestamp < TIMESTAMP '2000-01-01 00:00:00'
        AND c.last_queued_transaction_end_queue_timestamp < TIMESTAMP '2000-01-01 00:00:00'
      THEN TIMESTAMP '2000-01-01 00:00:00'
    WHEN c.last_heartbeat_timestamp >= c.last_queued_transaction_end_queue_timestamp
      THEN SYSDATE(6) - INTERVAL w.late MICROSECOND
    ELSE SYSDATE(6) - INTERVAL GREATEST(w.late, TIMESTAMPDIFF(MICROSECOND,
      c.last_queued_transaction_original_commit_timestamp,
      c.last_queued_transaction_end_queue_timestamp)) MICROSECOND
  END AS ts
FROM (SELECT 1) AS one
LEFT JOIN performance_schema.replication_connection_status c ON c.channel_name = ''
LEFT JOIN performance_schema.replication_applier_status a ON a.channel_name = ''
LEFT JOIN (
  SELECT GREATEST(0, COALESCE(MAX(TIMESTAMPDIFF(MICROSECOND, committed, seen)), 0)) AS late FROM (
    SELECT queueing_transaction_original_commit_timestamp AS committed, SYSDATE(6) AS seen
      FROM performance_schema.replication_connection_status WHERE queueing_transaction <> ''
    UNION ALL SELECT processing_transaction_original_commit_timestamp, SYSDATE(6)
      FROM performance_schema.replication_applier_status_by_coordinator
      WHERE processing_transaction <> ''
    UNION ALL SELECT applying_transaction_original_commit_timestamp, SYSDATE(6)
      FROM performance_schema.replication_applier_status_by_worker WHERE applying_transaction <> ''
    UNION ALL SELECT last_queued_transaction_original_commit_timestamp,
        last_queued_transaction_end_queue_timestamp
      FROM performance_schema.replication_connection_status
      WHERE last_queued_transaction_end_queue_timestamp > SYSDATE(6) - INTERVAL 10 SECOND
    UNION ALL SELECT last_applied_transaction_original_commit_timestamp,
        last_applied_transaction_end_apply_timestamp
      FROM performance_schema.replication_applier_status_by_worker
      WHERE last_applied_transaction_end_apply_timestamp > SYSDATE(6) - INTERVAL 10 SECOND
  ) AS seen_lately
) AS w ON TRUE
"""
"""Of a source now. Of a copy as long ago as its readiness (`ready.sh` of the server) takes it to be
late: what the oldest transaction has waited for that is on its way, or came within ten seconds.
While its source is away that counts which was heard of it last, a transaction or that there was
none to send; a copy that has heard nothing since it started cannot know. Of one that cannot, that
was stopped, broke, or is refused by its source, long ago.

It says something else on every node, for it is made of what the node itself knows: nobody has to
write for it, as for a table with a row that is stamped every second.
"""
