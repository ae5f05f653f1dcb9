"""Which of many failures are logged."""

from __future__ import annotations

from services.shared.runtime.trouble import Trouble


def test_a_lasting_trouble_is_logged_when_it_begins_then_at_most_every_30_seconds() -> None:
    times = iter(range(100))
    trouble = Trouble(every=30, clock=lambda: next(times))
    logged = [second for second in range(100) if trouble.worth_logging("away")]
    assert logged == [0, 30, 60, 90]


def test_its_end_is_logged_once_and_a_new_one_begins_afresh() -> None:
    trouble = Trouble(every=30, clock=lambda: 0)
    assert not trouble.over()
    assert trouble.worth_logging("away")
    assert not trouble.worth_logging("away")
    assert trouble.over()
    assert not trouble.over()
    assert trouble.worth_logging("away")


def test_another_kind_of_failure_is_not_hidden_by_the_first() -> None:
    trouble = Trouble(every=30, clock=lambda: 0)
    assert trouble.worth_logging("away")
    assert trouble.worth_logging("broken")
    assert not trouble.worth_logging("away")
