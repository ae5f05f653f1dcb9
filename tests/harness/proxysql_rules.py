"""What ProxySQL makes of a statement, near enough to read its rules against a table of statements.

The integration suite asks the real one the same table.
"""

from __future__ import annotations

import re

from components.servers.proxysql.rules import WRITER, Rule, rules

DIGEST_LENGTH = 8_192
"""As the configuration has it."""
_STRING = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"", re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/|--\s[^\n]*|#[^\n]*", re.DOTALL)
_NUMBER = re.compile(r"\b\d+(\.\d+)?\b")


def digest(statement: str) -> str:
    """Without comments and literals, blanks reduced to one, and no longer than it is kept."""
    text = _COMMENT.sub(" ", _STRING.sub("?", statement))
    text = re.sub(r"\s+", " ", _NUMBER.sub("?", text)).strip()
    return text[:DIGEST_LENGTH]


def deciding(statement: str, version: str = "routes-0") -> Rule | None:
    """The rule that decides; None: none of them does."""
    texts = {"digest": digest(statement), "pattern": statement}
    for rule in rules(version):
        wanted = {"digest": rule.digest, "pattern": rule.pattern}
        found = [
            bool(re.search(expression, texts[what], re.IGNORECASE)) != rule.negated
            for what, expression in wanted.items()
            if expression
        ]
        if all(found):
            return rule
    return None


def hostgroup(statement: str) -> int:
    """Where a statement outside of a transaction goes."""
    rule = deciding(statement)
    return rule.hostgroup if rule else WRITER


LONG = ", ".join(f"id AS name_of_a_column_{number}" for number in range(500))

STATEMENTS: dict[str, str] = {
    # Plain reads.
    "SELECT value FROM t WHERE id = 1": "readers",
    "select value from t where id = 1": "readers",
    "  \n SELECT value FROM t WHERE id = 1": "readers",
    "/* from a report */ SELECT value FROM t WHERE id = 1": "readers",
    "-- from a report\nSELECT value FROM t WHERE id = 1": "readers",
    "SELECT COUNT(*) FROM t": "readers",
    "SELECT value FROM t WHERE value = 'someone@mill.example'": "readers",
    "SELECT 'FOR an UPDATE'": "readers",
    "SELECT value FROM t ORDER BY id LIMIT 10": "readers",
    "SELECT 1": "readers",
    # What must see what was just written.
    "SELECT /* writer */ value FROM t WHERE id = 1": "writer",
    "select /*writer*/ value FROM t WHERE id = 1": "writer",
    "/* writer */ SELECT value FROM t WHERE id = 1": "writer",
    "\n SELECT\n/* writer */\n value FROM t": "writer",
    # Locking reads.
    "SELECT value FROM t WHERE id = 1 FOR UPDATE": "writer",
    "SELECT value FROM t WHERE id = 1 FOR SHARE": "writer",
    "SELECT value FROM t WHERE id = 1 for update skip locked": "writer",
    "SELECT value FROM t WHERE id = 1 FOR UPDATE OF t NOWAIT": "writer",
    "SELECT value FROM t WHERE id = 1 LOCK IN SHARE MODE": "writer",
    "SELECT value FROM t WHERE id = 1\nFOR\n  UPDATE": "writer",
    "SELECT value FROM t WHERE id = 1 FOR /* well */ UPDATE": "writer",
    f"SELECT {LONG} FROM t FOR UPDATE": "writer",
    # Of a session, and locks with a name.
    "SELECT GET_LOCK('a', 1)": "writer",
    "SELECT get_lock ('a', 1)": "writer",
    "SELECT RELEASE_LOCK('a')": "writer",
    "SELECT IS_FREE_LOCK('a')": "writer",
    "SELECT GET_LOCK/* well */('a', 1)": "writer",
    f"SELECT {LONG}, GET_LOCK('a', 1) FROM t": "writer",
    "SELECT LAST_INSERT_ID() + 1": "writer",
    "SELECT FOUND_ROWS()": "writer",
    "SELECT CONNECTION_ID()": "writer",
    "SELECT @a": "writer",
    "SELECT @@session.time_zone": "writer",
    "SELECT value INTO @a FROM t WHERE id = 1": "writer",
    "SELECT value INTO/* well */DUMPFILE '/tmp/a' FROM t": "writer",
    f"SELECT {LONG} INTO DUMPFILE '/tmp/a' FROM t": "writer",
    # Everything else.
    "INSERT INTO t VALUES (2, 'b')": "writer",
    "INSERT INTO t SELECT id + 100, value FROM t": "writer",
    "UPDATE t SET value = 'c' WHERE id = 2": "writer",
    "DELETE FROM t WHERE id = 2": "writer",
    "REPLACE INTO t VALUES (2, 'b')": "writer",
    "INSERT INTO t VALUES (2, 'b') AS n ON DUPLICATE KEY UPDATE value = n.value": "writer",
    "WITH a AS (SELECT 1 AS one) SELECT one FROM a": "writer",
    "(SELECT value FROM t)": "writer",
    "TABLE t": "writer",
    "EXPLAIN SELECT value FROM t": "writer",
    "DO SLEEP(0)": "writer",
    "CREATE TABLE u (id INT PRIMARY KEY)": "writer",
    "DROP TABLE u": "writer",
}
"""Statement to where it belongs. `t` has the columns `id` and `value`."""
