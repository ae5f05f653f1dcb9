"""Closes the books of documents: what a run wrote against what the store holds."""

from collections.abc import Iterable

from bootstrap.kube import Kube
from loadtests.differences import COMPARE_SECONDS, EXAMPLES, Differences, bounds, settle
from loadtests.documents.ways import Way
from loadtests.values import ValueLedger

STORE = "data-store"
DATABASE = "datadb"


def comparison(prefix: str, rows: Iterable[str], table: str) -> str:
    """A psql script that prints the differences as one line of JSON.

    The ledger travels once, into a temporary table (which needs no log, and so none of the
    store's few flushes), and one join finds everything.

    Raises:
        ValueError: the prefix holds more than lower-case letters, digits and dashes.
    """
    first, beyond = bounds(prefix)
    return f"""
SET temp_buffers = '64MB';
CREATE TEMPORARY TABLE sent (
    id text COLLATE "C" PRIMARY KEY, acknowledged bigint NOT NULL, highest bigint NOT NULL);
COPY sent FROM STDIN;
{"".join(rows)}\\.
ANALYZE sent;
WITH stored AS (
    SELECT id, (document ->> 'value')::bigint AS value FROM {table}
    WHERE id >= '{first}' AND id < '{beyond}'
), judged AS (
    SELECT coalesce(sent.id, stored.id) AS id, acknowledged, value, CASE
        WHEN sent.id IS NULL OR stored.value > highest OR stored.id IS NOT NULL AND value IS NULL
            THEN 'never written'
        WHEN acknowledged > 0 AND stored.id IS NULL THEN 'missing'
        WHEN stored.value < acknowledged THEN 'stale'
    END AS fault
    FROM sent FULL JOIN stored ON sent.id = stored.id
), faults AS (
    SELECT *, row_number() OVER (PARTITION BY fault ORDER BY id) AS nth
    FROM judged WHERE fault IS NOT NULL
)
SELECT json_build_object(
    'missing', count(*) FILTER (WHERE fault = 'missing'),
    'stale', count(*) FILTER (WHERE fault = 'stale'),
    'never_written', count(*) FILTER (WHERE fault = 'never written'),
    'examples', coalesce(json_agg(
        format('%s is %s: acknowledged %s, stored %s', id, fault,
               coalesce(nullif(acknowledged, 0)::text, 'nothing'),
               coalesce(value::text, 'nothing'))
        ORDER BY fault, id) FILTER (WHERE nth <= {EXAMPLES}), '[]'))
FROM faults;
"""  # noqa: S608 - the prefix is checked just above, and the table is a way's


def compare(kube: Kube, prefix: str, ledger: ValueLedger, way: Way) -> Differences:
    """Hold the ledger against the store, which should be given the time to empty its queue first.

    Raises:
        KubeError: the store could not be asked.
        ValueError: as ``comparison``.
    """
    script = comparison(prefix, ledger.rows(), way.table)
    line = kube.psql(DATABASE, script, timeout=COMPARE_SECONDS, server=STORE)
    return Differences.model_validate_json(line)


def close(kube: Kube, prefix: str, ledger: ValueLedger, way: Way, within: float) -> Differences:
    """What is left of the differences so many seconds later, or nothing as soon as that is so.

    For a few documents, whose writers may still be at it: this asks once a second. After a load
    the queue is asked whether it is empty, and the store once.

    Raises:
        KubeError: the store could not be asked.
        ValueError: as ``comparison``.
    """
    return settle(lambda: compare(kube, prefix, ledger, way), within)
