import threading
from pathlib import Path

import pytest

from bootstrap.steps import Report, Step, StepFailed, run_steps


def reports_for(steps: list[Step], folder: Path) -> dict[str, Report]:
    return {step.name: Report(step.name, folder / f"{step.name}.log") for step in steps}


def test_a_step_begins_only_after_all_it_needs(tmp_path: Path) -> None:
    order: list[str] = []
    steps = [
        Step("c", lambda _: order.append("c"), needs=("a", "b")),
        Step("b", lambda _: order.append("b"), needs=("a",)),
        Step("a", lambda _: order.append("a")),
    ]
    run_steps(steps, reports_for(steps, tmp_path), workers=4)
    assert order == ["a", "b", "c"]


def test_independent_steps_overlap(tmp_path: Path) -> None:
    meet = threading.Barrier(2)  # passes only if both are running at once

    def meet_the_other(_: Report) -> None:
        meet.wait(timeout=30)

    steps = [Step("a", meet_the_other), Step("b", meet_the_other)]
    run_steps(steps, reports_for(steps, tmp_path), workers=2)


def test_what_is_done_already_is_not_done_again(tmp_path: Path) -> None:
    def never(_: Report) -> None:
        raise AssertionError("ran although done")

    steps = [Step("a", never, is_done=lambda: True)]
    reports = reports_for(steps, tmp_path)
    run_steps(steps, reports, workers=1)
    assert reports["a"].status == "already there"


def test_a_failing_program_is_told_with_its_last_lines_and_its_log(tmp_path: Path) -> None:
    def fail(report: Report) -> None:
        report.run(["sh", "-c", "echo the reason; exit 3"])

    started: list[str] = []
    steps = [Step("a", fail), Step("b", lambda _: started.append("b"), needs=("a",))]
    with pytest.raises(StepFailed) as caught:
        run_steps(steps, reports_for(steps, tmp_path), workers=2)
    message = str(caught.value)
    assert "exit code 3" in message
    assert "the reason" in message
    assert str(tmp_path / "a.log") in message
    assert started == []
    assert "the reason" in (tmp_path / "a.log").read_text()


def test_a_failure_ends_the_programs_of_other_steps(tmp_path: Path) -> None:
    running = threading.Event()

    def long(report: Report) -> None:
        report.run(["sh", "-c", "echo begun; exec sleep 600"], on_line=lambda _: running.set())

    def fail(_: Report) -> None:
        assert running.wait(30)
        raise StepFailed("no disk left")

    steps = [Step("long", long), Step("fail", fail)]
    with pytest.raises(StepFailed, match="no disk left"):
        run_steps(steps, reports_for(steps, tmp_path), workers=2)


def test_a_need_nobody_provides_is_refused_before_anything_runs(tmp_path: Path) -> None:
    steps = [Step("a", lambda _: None, needs=("ghost",))]
    with pytest.raises(ValueError, match="ghost"):
        run_steps(steps, reports_for(steps, tmp_path), workers=1)


def test_a_circle_of_needs_is_told_not_waited_for(tmp_path: Path) -> None:
    steps = [
        Step("a", lambda _: None, needs=("b",)),
        Step("b", lambda _: None, needs=("a",)),
    ]
    with pytest.raises(ValueError, match="circle"):
        run_steps(steps, reports_for(steps, tmp_path), workers=1)
