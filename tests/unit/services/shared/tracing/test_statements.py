"""What a span is called by its statement; values never come into it."""

import pytest

from services.outbox_relay import statements as of_the_relay
from services.rest_service import repository
from services.shared.outbox.events import with_event
from services.shared.tracing.statements import summary, summary_of_text
from services.stream_writer.store import UPSERT


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("BEGIN;", "BEGIN"),
        ("COMMIT;", "COMMIT"),
        ("SELECT 1", "SELECT"),
        ("select a from things where b = $1 for update", "SELECT things"),
        ("SELECT a FROM x JOIN y USING (b)", "SELECT x"),
        ("SELECT a FROM unnest($1::text[]) AS t(a) JOIN x USING (a), y", "SELECT"),
        ("SELECT a FROM unnest($1) AS t(a), (SELECT b FROM held) h", "SELECT held"),
        ("UPDATE ONLY things SET a = 1", "UPDATE things"),
        ("DELETE FROM s.things", "DELETE s.things"),
        ("INSERT INTO a (b) SELECT b FROM c ON CONFLICT (b) DO UPDATE SET d = 1", "INSERT a"),
        ("WITH r AS (INSERT INTO a VALUES (1) RETURNING b) SELECT b FROM r", "INSERT a"),
        ("/* writer */ SELECT a FROM b", "SELECT b"),
        ("-- INSERT INTO x\nSELECT a FROM b", "SELECT b"),
        ("", ""),
        (UPSERT, "INSERT documents"),
    ],
)
def test_a_statement_is_called_by_what_it_writes_else_by_what_it_reads(
    statement: str, expected: str
) -> None:
    assert summary(statement) == expected


def test_a_write_with_its_event_names_both_tables() -> None:
    change = "UPDATE resources SET a = 1 RETURNING id, version"
    made = with_event(change, "t", "'{}'", "r.id FROM r")
    assert summary(made) == "UPDATE resources INSERT outbox_events"


def test_every_statement_of_ours_has_a_name_that_is_short() -> None:
    texts = [
        value
        for module in (of_the_relay, repository)
        for name, value in vars(module).items()
        if name.strip("_").isupper() and isinstance(value, str)
        if value.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
    ]
    assert len(texts) > 8
    for text in texts:
        assert len(summary(text).split()) >= 2, text
        assert len(summary(text)) <= 120, text


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("INSERT INTO t (a) VALUES ('secret') AS f ON DUPLICATE KEY UPDATE a = f.a", "INSERT t"),
        (b"INSERT INTO t (a) VALUES ('UPDATE secret SET')", "INSERT t"),
        (b"SELECT a FROM clients WHERE id = 'secret'", "SELECT clients"),
        (b"SELECT a FROM clients WHERE id = 'UPDATE secret'", "SELECT clients"),
        (b"SET SESSION a = 1", "SET"),
        ("/* writer */ SELECT a FROM t WHERE b = 'secret'", "SELECT t"),
        ("INSERT INTO t (a) VALUES " + "('x')," * 100_000, "INSERT t"),
    ],
)
def test_a_text_with_its_values_is_called_by_what_stands_before_them(
    statement: str | bytes, expected: str
) -> None:
    assert summary_of_text(statement) == expected
