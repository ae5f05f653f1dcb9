"""What a run takes in from the processes that make its load."""

import pytest

from loadtests.outcome import Outcome
from loadtests.run.intake import Intake
from loadtests.run.messages import Event, Report, Requests
from loadtests.run.plan import Plan
from loadtests.values import ValueLedger

PLAN = Plan(run="load-00000000", host="http://127.0.0.1:1", hot=1, users=10, workers=2)


@pytest.fixture
def intake() -> Intake:
    intake = Intake(PLAN, ValueLedger())
    tell(intake, Event(what="wanted", at=1_000.0, users=10))
    return intake


def tell(intake: Intake, message: Event | Report) -> None:
    intake.take(message.model_dump_json())


def report(worker: str, number: int, at: float = 1_001.0, **more: object) -> Report:
    told = {"last": False, "users": 5, "requests": [], "writes": [], "errors": [], **more}
    return Report.model_validate({"worker": worker, "number": number, "at": at, **told})


def test_every_sample_and_write_arrives_unrounded_and_counts_from_the_begin(intake: Intake):
    took = 12.345678901234567
    requests = [
        Requests(name="POST /api/data", at=[1_002.5, 1_003.5], milliseconds=[took, 1.0],
                 failures={1: "503 stream-full"})
    ]  # fmt: skip
    writes = [("load-1", 1, Outcome.ACKED), ("load-2", 1, Outcome.UNKNOWN)]
    tell(intake, report("a", 0, requests=requests, writes=writes))
    (posted,) = [one for one in intake.samples.summary(2.0, 3.0) if one.requests]
    assert posted.latencies is not None
    assert posted.latencies.max == took
    assert (intake.failures, intake.last_answer) == (1, 1_003.5)
    assert list(intake.ledger.rows()) == ["load-1\t1\t1\n", "load-2\t0\t1\n"]


def test_a_run_whose_workers_all_told_their_end_has_no_complaints(intake: Intake):
    for worker in "ab":
        tell(intake, report(worker, 0))
        tell(intake, report(worker, 1, last=True))
    assert intake.complaints() == []


def test_a_report_that_got_lost_is_complained_about(intake: Intake):
    tell(intake, report("a", 0, last=True))
    tell(intake, report("b", 1, last=True))
    assert intake.complaints() == ["report 0 of b is missing"]


def test_a_worker_that_never_told_its_end_is_complained_about(intake: Intake):
    tell(intake, report("a", 0, last=True))
    tell(intake, report("b", 0))
    assert intake.complaints() == ["1 of 2 load generators never reported the end"]


def test_a_user_that_went_wrong_by_itself_is_complained_about(intake: Intake):
    for worker in "ab":
        tell(intake, report(worker, 0, last=True, errors=["KeyError: 'x'"]))
    assert intake.complaints() == ["2 times the load generator itself failed: KeyError: 'x'"]


def test_users_are_those_of_all_workers_until_they_are_told_to_leave(intake: Intake):
    tell(intake, report("a", 0, at=1_001.0))
    tell(intake, report("b", 0, at=1_002.0))
    tell(intake, Event(what="stopping", at=1_010.0, users=10))
    tell(intake, report("a", 1, at=1_011.0))
    assert [intake.users_at(t) for t in (0.5, 1.0, 2.5, 9.9, 10.0, 12.0)] == [0, 5, 10, 10, 0, 0]


def test_steady_is_from_when_all_users_are_there_until_others_are_wanted(intake: Intake):
    assert intake.steady is None
    tell(intake, Event(what="reached", at=1_005.0, users=10))
    assert intake.steady is None
    tell(intake, Event(what="stopping", at=1_020.0, users=10))
    assert intake.steady == (5.0, 20.0)


def test_a_line_that_is_no_message_is_refused(intake: Intake):
    with pytest.raises(ValueError, match="Invalid JSON"):
        intake.take("Traceback (most recent call last):")
