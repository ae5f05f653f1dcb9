"""The books are closed inside a real database: what is wrong there is found, named and counted."""

import pytest

from loadtests.differences import Differences
from loadtests.documents.closing import comparison
from loadtests.outcome import Outcome
from loadtests.values import ValueLedger
from tests.integration.conftest import MakeDatabase
from tests.integration.containers import File
from tests.integration.servers import PostgresServer

ACKED, UNKNOWN = Outcome.ACKED, Outcome.UNKNOWN
RUN = "load-0123abcd"
SCRIPT = "/tmp/close.sql"


@pytest.fixture
async def database(make_database: MakeDatabase) -> str:
    return (await make_database("datadb")).name


async def store(server: PostgresServer, database: str, **values: int) -> None:
    """Store documents of the run, by the ends of their ids."""
    rows = ", ".join(
        f"""('{RUN}-{name}', '{{"id": "{RUN}-{name}", "value": {value}}}', 1, {n})"""
        for n, (name, value) in enumerate(values.items())
    )
    insert = f"INSERT INTO documents (id, document, entry_ms, entry_seq) VALUES {rows}"
    await server.as_admin(insert, database)


def close(server: PostgresServer, database: str, ledger: ValueLedger) -> Differences:
    script = comparison(RUN, ledger.rows(), "documents").encode()
    server.container.put({SCRIPT: File(script)})
    command = ("psql", "-U", "postgres", "-d", database, "-XAtq", "-v", "ON_ERROR_STOP=1")
    code, output = server.container.ask(*command, "-f", SCRIPT)
    assert code == 0, output
    return Differences.model_validate_json(output)


def ledger_of(*writes: tuple[str, int, Outcome]) -> ValueLedger:
    ledger = ValueLedger()
    for name, value, outcome in writes:
        ledger.note(f"{RUN}-{name}", value, outcome)
    return ledger


async def test_books_balance_when_every_acknowledged_value_or_a_later_one_is_stored(
    postgres: PostgresServer, database: str
) -> None:
    ledger = ledger_of(
        ("a", 1, ACKED),
        ("a", 2, ACKED),
        ("b", 1, ACKED),
        ("b", 2, UNKNOWN),
        ("c", 1, UNKNOWN),
        ("d", 1, UNKNOWN),
    )
    await store(postgres, database, a=2, b=2, c=1)
    found = close(postgres, database, ledger)
    assert found == Differences(missing=0, stale=0, never_written=0, examples=())


async def test_what_is_missing_stale_or_never_written_is_counted_and_named(
    postgres: PostgresServer, database: str
) -> None:
    ledger = ledger_of(("gone", 1, ACKED), ("old", 1, ACKED), ("old", 2, ACKED), ("fine", 1, ACKED))
    await store(postgres, database, old=1, fine=1, foreign=1)
    found = close(postgres, database, ledger)
    assert (found.missing, found.stale, found.never_written) == (1, 1, 1)
    assert found.examples == (
        f"{RUN}-gone is missing: acknowledged 1, stored nothing",
        f"{RUN}-foreign is never written: acknowledged nothing, stored 1",
        f"{RUN}-old is stale: acknowledged 2, stored 1",
    )


async def test_a_value_beyond_the_last_that_was_sent_was_never_written(
    postgres: PostgresServer, database: str
) -> None:
    await store(postgres, database, a=3)
    found = close(postgres, database, ledger_of(("a", 1, ACKED), ("a", 2, UNKNOWN)))
    assert found.never_written == 1


async def test_rows_of_another_run_are_left_alone(postgres: PostgresServer, database: str) -> None:
    insert = """
        INSERT INTO documents (id, document, entry_ms, entry_seq)
        VALUES ('load-0123abce-x', '{"id": "load-0123abce-x", "value": 1}', 1, 1)"""
    await postgres.as_admin(insert, database)
    assert close(postgres, database, ledger_of()).never_written == 0


async def test_three_hundred_thousand_documents_are_compared_in_one_go(
    postgres: PostgresServer, database: str
) -> None:
    ledger = ValueLedger()
    for number in range(300_000):
        ledger.note(f"{RUN}-{number}", 1, ACKED)
    await postgres.as_admin(
        f"""INSERT INTO documents (id, document, entry_ms, entry_seq)
            SELECT '{RUN}-' || n, jsonb_build_object('id', '{RUN}-' || n, 'value', 1), 1, n
            FROM generate_series(1, 299999) AS n""",
        database,
    )
    found = close(postgres, database, ledger)
    assert (found.missing, found.stale, found.never_written) == (1, 0, 0)
    assert found.examples == (f"{RUN}-0 is missing: acknowledged 1, stored nothing",)
