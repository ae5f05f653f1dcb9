"""How old what a MySQL node knows is, as a view that who watches replicas may read."""

from __future__ import annotations

from typing import Final

SCHEMA: Final = "millrace"
"""Holds views of the platform's own and nothing that has to be kept."""

VIEW: Final = """
CREATE OR REPLACE SQL SECURITY DEFINER VIEW millrace.heartbeat AS
SELECT CASE
    WHEN c.service_state IS NULL THEN SYSDATE(6)
    WHEN a.service_state = 'ON' AND c.service_state = 'ON'
      THEN LEAST(SYSDATE(6), COALESCE(w.oldest, SYSDATE(6)))
    WHEN a.service_state = 'ON' AND c.service_state = 'CONNECTING'
      THEN GREATEST(c.last_heartbeat_timestamp, c.last_queued_transaction_end_queue_timestamp)
    ELSE TIMESTAMP '2000-01-01 00:00:00'
  END AS ts
FROM (SELECT 1) AS one
LEFT JOIN performance_schema.replication_connection_status c ON c.channel_name = ''
LEFT JOIN performance_schema.replication_applier_status a ON a.channel_name = ''
LEFT JOIN (
  SELECT MIN(applying_transaction_original_commit_timestamp) AS oldest
  FROM performance_schema.replication_applier_status_by_worker WHERE applying_transaction <> ''
) AS w ON TRUE
"""
"""Of a source now. Of a replica that follows when the oldest transaction that it is at was
committed; of one whose source is away when it last heard from it; of one that was stopped, or
broke, long ago.

It says something else on every node, for it is made of what the node itself knows: nobody has to
write for it, as for a table with a row that is stamped every second.
"""
