"""The ledger of documents, and the script that holds it against the store."""

import pytest

from loadtests.documents.closing import comparison
from loadtests.documents.ledger import DocumentLedger
from loadtests.outcome import Outcome


def test_the_last_acknowledged_value_of_an_id_and_the_highest_sent_are_kept():
    ledger = DocumentLedger()
    ledger.note("run-1", 1, Outcome.ACKED)
    ledger.note("run-1", 2, Outcome.ACKED)
    ledger.note("run-1", 3, Outcome.UNKNOWN)
    ledger.note("run-2", 1, Outcome.UNKNOWN)
    assert list(ledger.rows()) == ["run-1\t2\t3\n", "run-2\t0\t1\n"]
    assert (ledger.count(Outcome.ACKED), ledger.count(Outcome.UNKNOWN)) == (2, 2)
    assert ledger.acknowledged_ids == 1


def test_of_a_refused_write_nothing_may_be_found():
    ledger = DocumentLedger()
    ledger.note("run-1", 1, Outcome.REFUSED)
    assert list(ledger.rows()) == []
    assert ledger.count(Outcome.REFUSED) == 1


def test_a_value_that_could_be_taken_for_none_is_refused():
    with pytest.raises(ValueError, match="begin with 1"):
        DocumentLedger().note("run-1", 0, Outcome.ACKED)


def test_only_ids_of_the_run_are_compared_and_a_prefix_that_could_be_sql_is_refused():
    assert "id >= 'load-12-' AND id < 'load-12.'" in comparison("load-12", [], "documents")
    with pytest.raises(ValueError, match="prefix"):
        comparison("x'; DROP TABLE documents; --", [], "documents")
