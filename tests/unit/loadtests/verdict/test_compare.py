"""Comparing two saved runs: what counts as worse, and what is not compared at all."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loadtests.verdict import command, saved
from loadtests.verdict.compare import Change, Margin, NotComparableError, compare
from loadtests.verdict.gate import judge
from loadtests.verdict.results import Run, Store
from loadtests.verdict.targets import targets_for
from tests.harness import load_runs
from tests.harness.load_runs import GET, POST, run_of


def regressions(old: Run, new: Run) -> list[tuple[str, str]]:
    return [(c.subject, c.what) for c in compare(old, new) if c.worse]


def test_a_run_is_no_worse_than_itself() -> None:
    changes = compare(run_of(), run_of())
    assert not any(change.worse or change.better for change in changes)
    assert {change.share for change in changes} <= {"+0.0 %", "-"}


@pytest.mark.parametrize(
    ("new", "worse", "better"),
    [(120, False, False), (120.1, True, False), (80, False, False), (79.9, False, True)],
)
def test_a_change_counts_above_the_larger_of_share_and_size(
    new: float, worse: bool, better: bool
) -> None:
    change = Change("x", "p95", 100.0, new, Margin(share=0.1, size=20, unit="ms"))
    assert (change.worse, change.better) == (worse, better)


def test_less_is_worse_where_more_is_better() -> None:
    margin = Margin(share=0.05, size=1, unit="/s", more_is_better=True)
    assert Change("x", "rate", 100.0, 94.9, margin).worse
    assert not Change("x", "rate", 100.0, 95.0, margin).worse
    assert Change("x", "rate", 100.0, 106.0, margin).better


def slower(milliseconds: float) -> Run:
    return run_of(load_runs.healthy_samples(milliseconds))


def test_slower_endpoints_are_regressions_and_a_few_milliseconds_are_none() -> None:
    assert regressions(run_of(), slower(35.0)) == []
    assert {what for _, what in regressions(run_of(), slower(45.0))} == {"p50", "p95"}
    assert {what for _, what in regressions(run_of(), slower(75.0))} == {"p50", "p95", "p99"}


def test_new_failures_are_regressions_however_few_there_were_before() -> None:
    failing = load_runs.with_endpoint(run_of(), GET, failures=3)
    assert regressions(run_of(), failing) == [(GET, "failure rate")]


def test_an_endpoint_that_is_gone_and_one_that_is_not_measured_are_regressions() -> None:
    gone = load_runs.without_endpoint(run_of(), POST)
    assert {subject for subject, _ in regressions(run_of(), gone)} == {POST}
    assert not regressions(gone, run_of())
    assert regressions(run_of(), run_of(store=None)) == [("store", "commits"), ("store", "flushes")]


def test_more_processor_and_more_commits_are_regressions() -> None:
    new = run_of(
        cpu={"load generator": 0.7, "ingest-service": 0.6},
        store=Store(seconds=40, commits=2800, flushes=2480, rows=1000),
    )
    assert regressions(run_of(), new) == [
        ("processor: ingest-service", "cores"),
        ("processor", "cores"),
        ("store", "commits"),
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"users": 99}, "users 100 there, 99 here"),
        ({"pace": 2.0}, "pace 1 s there, 2 s here"),
        ({"target": "sync"}, "target async there, sync here"),
        ({"shape": "soak"}, "shape ramp there, soak here"),
        ({"stack": "dev"}, "stack airgap there, dev here"),
    ],
)
def test_runs_of_another_load_are_not_compared_unless_told(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(NotComparableError, match=said):
        compare(run_of(), run_of(**changes))
    assert compare(run_of(), run_of(**changes), anyway=True)


def keep(run: Run, folder: Path) -> Path:
    folder.mkdir(parents=True)
    saved.save(run, judge(run, targets_for(run.stack, run.target)), folder)
    return folder


def compared(root: Path, **given: str | bool) -> tuple[int, str]:
    console = Console(file=io.StringIO(), width=120)
    code = command.compare_saved(root, console, **given)  # pyright: ignore[reportArgumentType]
    assert isinstance(console.file, io.StringIO)
    return code, console.file.getvalue()


def test_the_newest_run_is_held_against_the_report_of_its_stack_and_way(tmp_path: Path) -> None:
    keep(run_of(), tmp_path / "docs/reports/airgap-async")
    keep(slower(500.0), tmp_path / "build/load/20261121-110000")
    keep(slower(21.0), tmp_path / "build/load/20261121-120000")
    code, text = compared(tmp_path)
    assert (code, "no regression" in text) == (0, True)
    assert "Taken for noise" in text


def test_a_regression_is_named_and_sets_the_exit_code(tmp_path: Path) -> None:
    base, new = keep(run_of(), tmp_path / "a"), keep(slower(500.0), tmp_path / "b")
    code, text = compared(tmp_path, base=str(base), new=str(new / "run.json"))
    assert code == 1
    assert "regression: GET /api/data: p50 is 50" in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no run is kept in"),
        ({"new": "NEW"}, "docs/reports/airgap-async cannot be read"),
        ({"new": "NEW", "base": "nowhere"}, "nowhere cannot be read"),
        ({"new": "NEW", "base": "OTHER"}, "users 100 there, 99 here"),
    ],
)
def test_what_cannot_be_compared_is_said_and_is_no_regression(
    tmp_path: Path, given: dict[str, str], said: str
) -> None:
    folders = {
        "OTHER": str(keep(run_of(), tmp_path / "other")),
        "NEW": str(keep(run_of(users=99), tmp_path / "new")),
    }
    code, text = compared(tmp_path, **{key: folders.get(name, name) for key, name in given.items()})
    assert code == 2
    assert said in text


def test_a_run_that_was_cut_short_is_not_compared_unless_told(tmp_path: Path) -> None:
    targets = targets_for("airgap", "async")
    for name, complaints in (("base", ()), ("new", ("the run was cut short",))):
        (tmp_path / name).mkdir()
        saved.save(run_of(), judge(run_of(), targets, complaints), tmp_path / name)
    folders = (str(tmp_path / "base"), str(tmp_path / "new"))
    console = Console(file=io.StringIO(), record=True, width=200)
    assert command.compare_saved(tmp_path, console, *folders) == command.NOT_COMPARED
    assert "is no result: load: the run was cut short" in console.export_text()
    assert command.compare_saved(tmp_path, console, *folders, anyway=True) == command.NO_REGRESSION
    assert "missed 1 target;" in console.export_text()


def test_two_ways_to_the_store_are_compared_when_told_endpoint_by_endpoint(tmp_path: Path) -> None:
    sync = run_of(target="sync")
    renamed = [o.model_copy(update={"name": o.name.replace("/api", "")}) for o in sync.endpoints]
    base = keep(sync.model_copy(update={"endpoints": tuple(renamed)}), tmp_path / "sync")
    new = keep(run_of(), tmp_path / "async")
    assert compared(tmp_path, base=str(base), new=str(new))[0] == 2
    code, text = compared(tmp_path, base=str(base), new=str(new), anyway=True)
    assert code == 0
    assert "not measured" not in text


def test_the_report_of_a_run_has_the_synchronous_one_beside_it_if_one_is_kept(
    tmp_path: Path,
) -> None:
    console = Console(file=io.StringIO(), width=200)
    assert command.beside(tmp_path, run_of(), console) is None
    folder = keep(run_of(target="sync"), tmp_path / "docs/reports/airgap-sync")
    assert command.beside(tmp_path, run_of(), console) == run_of(target="sync")
    assert command.beside(tmp_path, run_of(target="sync"), console) is None
    (folder / "run.json").write_text("{", encoding="utf-8")
    assert command.beside(tmp_path, run_of(), console) is None
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().startswith("no baseline in the report: ")
