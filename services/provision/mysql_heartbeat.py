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
    WHEN c.service_state = 'ON' OR c.service_state = 'CONNECTING' AND c.last_error_number IN
        (0, 1053, 1158, 1159, 1160, 1161, 2002, 2003, 2005, 2006, 2013)
      THEN LEAST(SYSDATE(6), COALESCE(w.oldest, SYSDATE(6)))
    ELSE TIMESTAMP '2000-01-01 00:00:00'
  END AS ts
FROM (SELECT 1) AS one
LEFT JOIN performance_schema.replication_connection_status c ON c.channel_name = ''
LEFT JOIN performance_schema.replication_applier_status a ON a.channel_name = ''
LEFT JOIN (
  SELECT MIN(committed) AS oldest FROM (
    SELECT queueing_transaction_original_commit_timestamp AS committed
      FROM performance_schema.replication_connection_status WHERE queueing_transaction <> ''
    UNION ALL SELECT processing_transaction_original_commit_timestamp
      FROM performance_schema.replication_applier_status_by_coordinator
      WHERE processing_transaction <> ''
    UNION ALL SELECT applying_transaction_original_commit_timestamp
      FROM performance_schema.replication_applier_status_by_worker WHERE applying_transaction <> ''
  ) AS under_way
) AS w ON TRUE
"""
"""Of a source now. Of a copy when the oldest transaction was committed that is on its way to it;
with none on its way now, where its readiness also looks at those that came last. Its source may be
away meanwhile. Of a copy that was stopped, broke, or is refused by its source, long ago.

It says something else on every node, for it is made of what the node itself knows: nobody has to
write for it, as for a table with a row that is stamped every second.
"""
