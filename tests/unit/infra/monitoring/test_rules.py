"""Every rule, through the promtool that belongs to the Prometheus that runs it."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from infra.model.records import RECORDS
from infra.monitoring import rules
from infra.monitoring.alerts import stream, tasks
from infra.monitoring.forms import Alert, Group, Recording
from services.grpc_service.settings import TaskSettings
from services.ingest_service.settings import IngestSettings
from services.shared.outbox.lanes import LANES
from tests.harness import markdown
from tests.harness.population import SMALL
from tests.harness.repository import of_kind

GROUPS = rules.groups()
ALERTS = [alert for group in GROUPS for alert in group.alerts]


def ran(program: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def written(folder: Path, group: Group) -> list[Path]:
    """The group's rule file, and a file of tests for each of its rules; those files."""
    (folder / f"{group.name}.yaml").write_text(rules.written(rules.rule_file(group)))
    tests: list[Path] = []
    for number, rule in enumerate(group.rules):
        tests.append(folder / f"{group.name}-{number}.test.yaml")
        document = rules.test_file(group, rule, f"{group.name}.yaml")
        tests[-1].write_text(rules.written(document))
    return tests


def fires(alert: Alert, said: int) -> bool:
    """Whether it does in the case: of one name, each pair of windows speaks for itself."""
    window = alert.labels.get("window")
    each = alert.cases[said].said
    return any(window in (None, one.labels.get("window")) for one in each)


def alert_named(name: str) -> tuple[Group, Alert]:
    return next((g, a) for g in GROUPS for a in g.alerts if a.name == name)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_each_rule_does_what_its_cases_say(group: Group, promtool: Path, tmp_path: Path):
    tested = ran(promtool, "test", "rules", *written(tmp_path, group))

    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_promtool_finds_nothing_to_say_about_any_rule_file(promtool: Path, tmp_path: Path):
    for records in (RECORDS, SMALL):
        for name, text in rules.rule_files(records).items():
            (tmp_path / name).write_text(text)

    checked = ran(promtool, "check", "rules", "--lint=all", "--lint-fatal", *tmp_path.iterdir())

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda a: f"{a.name}-{a.labels.get('window', '')}")
def test_an_alert_is_shown_to_fire_and_to_be_quiet_about_the_same_series(alert: Alert):
    outcomes = [fires(alert, number) for number in range(len(alert.cases))]
    assert set(outcomes) == {True, False}, "give it a case that fires, and one that does not"

    names = [{s.partition("{")[0] for s in case.series} for case in alert.cases]
    spoken = set[str]().union(*(n for n, fired in zip(names, outcomes, strict=True) if fired))
    quiet = [n for n, fired in zip(names, outcomes, strict=True) if not fired]
    assert any(n & spoken for n in quiet), "no series at all proves nothing"


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_every_recording_has_a_case(group: Group):
    bare = [rule.name for rule in group.rules if isinstance(rule, Recording) and not rule.cases]
    assert not bare


def test_a_rule_that_says_something_else_than_its_cases_is_found(promtool: Path, tmp_path: Path):
    group, alert = alert_named("KafkaConsumerLag")
    for change in (
        replace(alert, expr=alert.expr.replace("10000", "20000")),
        replace(alert, expr=alert.expr.replace("10000", "9000")),
        replace(alert, summary="something else"),
        replace(alert, severity="page"),
    ):
        [test] = written(tmp_path, Group(group.name, (alert,)))
        changed = rules.rule_file(Group(group.name, (change,)))
        (tmp_path / f"{group.name}.yaml").write_text(rules.written(changed))

        tested = ran(promtool, "test", "rules", test)

        assert tested.returncode != 0, change


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_what_people_read_is_said_in_templates_that_the_cases_cover(alert: Alert):
    assert not alert.misspelled()
    assert alert.summary
    assert alert.description.endswith(".")


def headings(page: str) -> list[str]:
    text = of_kind(".md").get(page, "")
    return re.findall(r"^## (\w+)$", text, re.MULTILINE)


@pytest.mark.parametrize("group", [g for g in GROUPS if g.alerts], ids=lambda group: group.name)
def test_every_alert_has_a_runbook_and_every_runbook_its_alert(group: Group):
    names = list(dict.fromkeys(alert.name for alert in group.alerts))
    assert headings(group.page) == names, "a heading each, in the order of the rules"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_a_runbook_has_a_command_to_run(alert: Alert):
    group, _ = alert_named(alert.name)
    _, _, section = of_kind(".md")[group.page].partition(f"\n## {alert.name}\n")
    section = section.partition("\n## ")[0]
    assert re.search(r"^(kubectl|make|curl|eval) ", section, re.MULTILINE), "say which"
    assert markdown.code_of(section)


def test_names_are_unique_but_for_windows():
    keys = [(alert.name, alert.labels.get("window")) for alert in ALERTS]
    assert len(keys) == len(set(keys))


def test_numbers_that_services_have_are_theirs():
    _, lanes = alert_named("OutboxLanesWithoutRelay")
    assert lanes.expr.endswith(f"< {LANES}")
    fuse = IngestSettings.model_fields["max_queue"].default
    high = IngestSettings.model_fields["high_water"].default
    assert fuse == stream.FUSE
    assert high > stream.FUSE * stream.FILLED, "told before anything is refused"
    assert TaskSettings.model_fields["max_attempts"].default == tasks.ATTEMPTS


def test_a_task_that_fails_as_slowly_as_it_may_is_not_taken_for_one_that_nobody_runs():
    of = {name: field.default for name, field in TaskSettings.model_fields.items()}
    begun = of["max_attempts"]
    pauses = (of["retry_first_seconds"] * 2**n for n in range(begun - 1))
    pauses = (min(pause, of["retry_most_seconds"]) for pause in pauses)
    _, stuck = alert_named("TasksStuck")
    assert begun * of["time_limit_seconds"] + sum(pauses) < 300
    assert "> 300 unless" in stuck.expr


@pytest.mark.parametrize(
    ("name", "pending", "threshold"),
    [
        ("HighErrorRate", "5m", "> 0.05"),
        ("HighLatency", "5m", "> 0.5"),
        ("KafkaConsumerLag", "5m", "> 10000"),
        ("DatabaseConnections", "5m", "> 0.8"),
        ("PodRestarts", "0s", "[10m])) > 3"),
        ("LowThroughput", "5m", "< 0.5 *"),
    ],
)
def test_six_alerts_have_the_numbers_that_were_asked_for(name: str, pending: str, threshold: str):
    _, alert = alert_named(name)
    assert alert.pending == pending
    assert threshold in alert.expr
