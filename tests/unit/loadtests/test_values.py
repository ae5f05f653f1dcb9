"""The ledger of values by key, and what it makes of a store that does not hold them."""

import pytest

from loadtests.differences import Differences
from loadtests.documents.closing import comparison
from loadtests.outcome import Outcome
from loadtests.values import ValueLedger


def test_the_last_acknowledged_value_of_an_id_and_the_highest_sent_are_kept():
    ledger = ValueLedger()
    ledger.note("run-1", 1, Outcome.ACKED)
    ledger.note("run-1", 2, Outcome.ACKED)
    ledger.note("run-1", 3, Outcome.UNKNOWN)
    ledger.note("run-2", 1, Outcome.UNKNOWN)
    assert list(ledger.rows()) == ["run-1\t2\t3\n", "run-2\t0\t1\n"]
    assert (ledger.count(Outcome.ACKED), ledger.count(Outcome.UNKNOWN)) == (2, 2)
    assert ledger.acknowledged_keys == 1


def test_of_a_refused_write_nothing_may_be_found():
    ledger = ValueLedger()
    ledger.note("run-1", 1, Outcome.REFUSED)
    assert list(ledger.rows()) == []
    assert ledger.count(Outcome.REFUSED) == 1


def test_a_value_that_could_be_taken_for_none_is_refused():
    with pytest.raises(ValueError, match="begin with 1"):
        ValueLedger().note("run-1", 0, Outcome.ACKED)


def test_only_ids_of_the_run_are_compared_and_a_prefix_that_could_be_sql_is_refused():
    assert "id >= 'load-12-' AND id < 'load-12.'" in comparison("load-12", [], "documents")
    with pytest.raises(ValueError, match="prefix"):
        comparison("x'; DROP TABLE documents; --", [], "documents")


LEDGER = (
    ("run-1", 1, Outcome.ACKED),
    ("run-1", 2, Outcome.ACKED),
    ("run-1", 3, Outcome.UNKNOWN),
    ("run-2", 7, Outcome.UNKNOWN),
    ("run-3", 4, Outcome.ACKED),
)


def ledger() -> ValueLedger:
    made = ValueLedger()
    for key, value, outcome in LEDGER:
        made.note(key, value, outcome)
    return made


@pytest.mark.parametrize(
    "held",
    [
        {"run-1": 2.0, "run-3": 4.0},
        {"run-1": 3.0, "run-2": 7.0, "run-3": 4.0},
    ],
    ids=["none-without-an-answer", "all-without-an-answer"],
)
def test_books_balance_whatever_became_of_writes_without_an_answer(held: dict[str, float]):
    assert ledger().check(held.items()).balanced


@pytest.mark.parametrize(
    ("held", "wrong", "told"),
    [
        ({"run-1": 2.0}, (1, 0, 0), "run-3 is missing: acknowledged 4, stored nothing"),
        ({}, (2, 0, 0), "run-1 is missing: acknowledged 2, stored nothing"),
        ({"run-1": 1.0, "run-3": 4.0}, (0, 1, 0), "run-1 is stale: acknowledged 2, stored 1"),
        ({"run-1": 4.0, "run-3": 4.0}, (0, 0, 1),
         "run-1 is never written: acknowledged 2, stored 4"),
        ({"run-1": 2.5, "run-3": 4.0}, (0, 0, 1),
         "run-1 is never written: acknowledged 2, stored 2.5"),
        ({"run-1": 2.0, "run-3": 4.0, "run-4": 1.0}, (0, 0, 1),
         "run-4 is never written: acknowledged nothing, stored 1"),
    ],
    ids=["lost", "all-lost", "stale", "beyond-the-last-sent", "no-value-of-ours", "extra"],
)  # fmt: skip
def test_what_is_lost_stale_or_never_written_is_counted_and_named(
    held: dict[str, float], wrong: tuple[int, int, int], told: str
):
    found = ledger().check(held.items())
    assert (found.missing, found.stale, found.never_written) == wrong
    assert found.examples[0] == told
    assert not found.balanced


def test_only_a_few_of_each_fault_are_named():
    made = ValueLedger()
    for number in range(10):
        made.note(f"run-{number}", 1, Outcome.ACKED)
    found = made.check([])
    assert found == Differences(missing=10, stale=0, never_written=0, examples=found.examples)
    assert len(found.examples) == 3
