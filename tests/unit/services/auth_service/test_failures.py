"""Wrong secrets are counted by the minute, and forgiven by it."""

from services.auth_service.failures import Failures


def test_so_many_a_minute_are_allowed_and_the_next_is_told_when():
    now = 100.0
    failures = Failures(lambda: now)
    assert [failures.note([("a", 3)]) for _ in range(3)] == [None] * 3
    assert failures.note([("a", 3)]) == 20.0
    assert failures.note([("b", 3)]) is None


def test_the_ones_beyond_do_not_make_it_longer():
    now = 0.0
    failures = Failures(lambda: now)
    for _ in range(1000):
        failures.note([("a", 3)])
    now = 20.0
    assert failures.note([("a", 3)]) is None
    assert failures.note([("a", 3)]) is not None


def test_one_key_that_is_used_up_counts_nothing_on_the_others():
    failures = Failures(lambda: 0.0)
    failures.note([("address", 1)])
    for _ in range(5):
        assert failures.note([("client", 2), ("address", 1)]) is not None
    assert failures.note([("client", 2)]) is None


def test_what_is_remembered_has_an_end():
    failures = Failures(lambda: 0.0)
    for number in range(20_001):
        failures.note([(f"{number}", 1)])
    assert failures.note([("0", 1)]) is None
    assert failures.note([("20000", 1)]) is not None
