"""The files of a report: the page, the summary, JUnit, and the run that is kept."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from itertools import takewhile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from loadtests.verdict import report, saved
from loadtests.verdict.gate import judge
from loadtests.verdict.results import Run
from loadtests.verdict.summary import in_text
from loadtests.verdict.targets import targets_for
from tests.harness import load_runs
from tests.harness.load_runs import GET, run_of


def written(run: Run, folder: Path, baseline: Run | None = None) -> Path:
    return report.write(run, judge(run, targets_for(run.stack, run.target)), folder, baseline)


def sync_baseline() -> Run:
    run = run_of(load_runs.healthy_samples(2500.0), target="sync")
    renamed = (
        one.model_copy(update={"name": one.name.replace("/api", "")}) for one in run.endpoints
    )
    return run.model_copy(update={"endpoints": tuple(renamed)})


class Page(HTMLParser):
    """What a page holds: tags, texts, and what it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.words: list[str] = []
        self.figures = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        self.figures += tag == "figure"
        if tag not in ("meta", "link", "br", "img", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def test_the_page_is_whole_and_fetches_nothing(tmp_path: Path) -> None:
    text = written(run_of(), tmp_path, sync_baseline()).read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.fetched == []
    assert not re.search(r"url\(|@import|\bimport\(|fetch\(", text)
    assert page.figures == 7


def test_every_target_stands_beside_what_was_measured(tmp_path: Path) -> None:
    run = run_of(books=None)
    words = Page(written(run, tmp_path).read_text(encoding="utf-8")).words
    for check in judge(run, targets_for("airgap", "async")).checks:
        assert {check.subject, check.what, check.measured, check.target} <= set(words)
    assert "Failed." in words
    assert "ledger: there is none, so nobody knows whether a write was lost" in words


def test_a_run_that_passed_says_so_first(tmp_path: Path) -> None:
    page = written(run_of(), tmp_path)
    assert page.read_text(encoding="utf-8").index("Passed.") < 6000
    assert (tmp_path / "report.md").read_text(encoding="utf-8").splitlines()[2].startswith("**Pass")


def test_a_text_from_a_server_is_no_markup_of_the_page_or_the_summary(tmp_path: Path) -> None:
    evil = "503 </script><script>alert(1)</script> | x"
    run = load_runs.with_endpoint(run_of(), GET, failures=900, reasons={evil: 900})
    page = written(run, tmp_path).read_text(encoding="utf-8")
    assert "<script>alert" not in page
    summary = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "<script>" not in summary.replace("\\<", "")
    assert in_text("a | b\n<c>") == "a \\| b \\<c\\>"


def test_the_pages_own_script_is_one_that_runs(tmp_path: Path) -> None:
    node = shutil.which("node") or pytest.skip("no node here")
    text = written(run_of(), tmp_path).read_text(encoding="utf-8")
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)[-1]
    (tmp_path / "page.js").write_text(script, encoding="utf-8")
    subprocess.run([node, "--check", tmp_path / "page.js"], check=True)


def test_the_values_behind_the_charts_are_the_runs(tmp_path: Path) -> None:
    text = written(run_of(), tmp_path).read_text(encoding="utf-8")
    data = [
        json.loads(found)
        for found in re.findall(r'<script type="application/json">(.*?)</script>', text)
    ]
    assert data[0]["series"][1] == {"name": "p95", "values": [p.p95 for p in run_of().points]}
    assert data[4]["series"][0]["values"] == [60.0] * len(run_of().points)


def test_the_baseline_stands_beside_the_run_also_when_it_went_the_other_way(
    tmp_path: Path,
) -> None:
    baseline = sync_baseline()
    words = Page(written(run_of(), tmp_path, baseline).read_text(encoding="utf-8")).words
    at = words.index("Beside the baseline")
    for endpoint in baseline.endpoints:
        assert endpoint.latencies is not None
        assert f"{endpoint.latencies.p99:,.1f}" in words[at:]
    assert any(word.startswith("The baseline: airgap sync, 100 users") for word in words)
    alone = Page(written(run_of(), tmp_path).read_text(encoding="utf-8")).words
    assert "Beside the baseline" not in alone


def test_the_summary_shows_its_pictures_and_every_table_has_its_columns(tmp_path: Path) -> None:
    written(run_of(), tmp_path, sync_baseline())
    lines = (tmp_path / "report.md").read_text(encoding="utf-8").splitlines()
    pictures = [re.search(r"\((.*\.svg)\)$", line) for line in lines if line.startswith("![")]
    assert len(pictures) == 2
    for picture in pictures:
        assert picture is not None
        ElementTree.parse(tmp_path / picture.group(1))
    for number, line in enumerate(lines):
        if line.startswith("| ---"):
            assert lines[number - 2] == ""
            for row in takewhile(lambda text: text.startswith("|"), lines[number - 1 :]):
                assert row.count("|") == line.count("|"), row


def test_junit_has_a_case_for_every_target_and_counts_what_it_holds(tmp_path: Path) -> None:
    run = run_of(books=None, cache=None)
    written(run, tmp_path)
    suites = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert suites.tag == "testsuites"
    (suite,) = suites
    cases = suite.findall("testcase")
    judgement = judge(run, targets_for("airgap", "async"))
    assert int(suite.attrib["tests"]) == len(cases) == len(judgement.checks)
    assert {"name", "tests", "failures", "errors", "time", "timestamp"} <= set(suite.attrib)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
    names = [(case.attrib["classname"], case.attrib["name"]) for case in cases]
    assert len(set(names)) == len(names)
    failures = [case.find("failure") for case in cases if case.find("failure") is not None]
    assert int(suite.attrib["failures"]) == len(failures) == 2
    assert tuple(one.attrib["message"] for one in failures if one is not None) == (
        judgement.sentences
    )


def test_a_run_that_was_kept_is_read_as_it_was(tmp_path: Path) -> None:
    written(run_of(), tmp_path)
    assert saved.load(tmp_path) == saved.load(tmp_path / "run.json") == run_of()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON .*cut short"),
        ("[]", "is of format None and this checkout reads format 1"),
        ('{"format": 2}', "is of format 2 and this checkout reads format 1"),
        ('{"format": 1, "passed": true}', "is no saved run: sentences: Field required"),
    ],
)
def test_a_file_that_is_no_run_is_refused_with_its_name(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(saved.SavedRunError, match=said) as refused:
        saved.load(tmp_path)
    assert str(tmp_path / "run.json") in str(refused.value)


def test_a_run_that_is_not_there_is_said_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(saved.SavedRunError, match=r"No such file.*name the folder of a run"):
        saved.load(tmp_path / "none")
    (tmp_path / "run.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(saved.SavedRunError, match="it is no text"):
        saved.load(tmp_path)


def test_a_run_of_nothing_has_a_report_too(tmp_path: Path) -> None:
    empty = run_of(endpoints=(), steady=(), points=(), cpu={}, store=None, cache=None, books=None)
    empty = empty.model_copy(update={"seconds": 0.0})
    assert "Failed." in Page(written(empty, tmp_path, empty).read_text(encoding="utf-8")).words
