"""Who is told: the configuration as the programs that read it see it."""

import subprocess
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from infra.model.settings import MonitoringSettings
from infra.monitoring import routing, rules
from infra.stack.diff import load_stack
from tests.harness.composed import STACKS

ALERTS = [alert for group in rules.groups() for alert in group.alerts]
ALL: dict[str, Any] = {
    "receivers": {
        "on-call": {"pagerduty": {"secret": "pager"}},
        "team": {"slack": {"channel": "#alerts", "secret": "team"}},
        "mail": {
            "email": {
                "to": ["a@mill.test", "b@mill.test"],
                "sender": "millrace@mill.test",
                "smarthost": "smtp.mill.test:587",
                "username": "millrace",
                "secret": "mail",
            }
        },
        "outside": {"webhook": {"secret": "heartbeat"}},
    },
    "pages": ["on-call", "team"],
    "tickets": ["team", "mail"],
    "heartbeat": "outside",
}


def settings(document: dict[str, Any]) -> MonitoringSettings:
    # As from YAML, whose lists are no tuples.
    return MonitoringSettings.model_validate(document, strict=False)


def written(folder: Path, document: dict[str, Any]) -> Path:
    path = folder / "alertmanager.yaml"
    path.write_text(routing.configuration(settings(document)))
    return path


@pytest.mark.parametrize("document", [ALL, {}], ids=["all kinds of receivers", "none"])
def test_amtool_accepts_the_configuration(document: dict[str, Any], amtool: Path, tmp_path: Path):
    checked = subprocess.run(
        [amtool, "check-config", written(tmp_path, document)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("stack", STACKS)
def test_amtool_accepts_what_each_stack_says(stack: str, amtool: Path, tmp_path: Path):
    path = tmp_path / "alertmanager.yaml"
    path.write_text(routing.configuration(load_stack(stack).monitoring))
    subprocess.run([amtool, "check-config", path], capture_output=True, check=True)


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("severity=page", "alertname=ServerDown"), "pages"),
        (("severity=ticket", "alertname=HighLatency"), "tickets"),
        (("severity=none", "alertname=RecentCause"), "nobody"),
        (("severity=none", "alertname=Watchdog"), "heartbeat"),
        (("alertname=OfSomebodyElse",), "tickets"),
    ],
)
def test_an_alert_goes_where_its_severity_says(
    labels: tuple[str, ...], receiver: str, amtool: Path, tmp_path: Path
):
    config = f"--config.file={written(tmp_path, ALL)}"
    asked = subprocess.run(
        [amtool, "config", "routes", "test", config, f"--verify.receivers={receiver}", *labels],
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr


def test_each_receiver_tells_all_that_are_named_and_reads_secrets_from_files():
    made = yaml.safe_load(routing.configuration(settings(ALL)))
    found = {receiver["name"]: receiver for receiver in made["receivers"]}

    assert set(found["pages"]) == {"name", "pagerduty_configs", "slack_configs"}
    assert set(found["tickets"]) == {"name", "slack_configs", "email_configs"}
    [pager] = found["pages"]["pagerduty_configs"]
    assert pager["routing_key_file"] == "/etc/millrace/receivers/on-call/routing-key"
    [mail] = found["tickets"]["email_configs"]
    assert mail["to"] == "a@mill.test, b@mill.test"
    assert mail["auth_password_file"] == "/etc/millrace/receivers/mail/password"
    assert dict(settings(ALL).secrets()) == {
        "on-call": "pager",
        "team": "team",
        "mail": "mail",
        "outside": "heartbeat",
    }


def test_what_implies_another_exists_pages_and_goes_round_no_circle():
    pages = {alert.name for alert in ALERTS if alert.severity == "page"}
    graph = {alert.name: {implied.by for implied in alert.implied} for alert in ALERTS}
    assert set().union(*graph.values()) <= pages, "what does not page silences nothing"
    TopologicalSorter(graph).prepare()  # raises CycleError: both would be silent


def test_causes_are_noticed_before_what_they_cause_and_linger_after_it():
    group_wait, seconds = 60, {"s": 1, "m": 60, "h": 3600}

    def length(text: str) -> int:
        return int(text[:-1]) * seconds[text[-1]]

    paging = [alert for alert in ALERTS if alert.severity == "page"]
    soonest = min(length(a.pending) for a in paging if a.layer == "symptom" and a.pending != "0s")
    for alert in paging:
        if alert.layer != "symptom":
            assert length(alert.lingers) >= 300, alert.name
        if alert.layer == "server" and alert.name == "ServerDown":
            assert length(alert.pending) <= soonest + group_wait


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"pages": ["nobody"]}, "there is no receiver 'nobody'"),
        ({"tickets": ["team"]}, "the receiver mail would be told of nothing"),
        ({"receivers": {"on-call": {}}, "pages": ["on-call"]}, "nothing is given"),
        (
            {
                "receivers": {
                    "two": {"webhook": {"secret": "a"}, "pagerduty": {"secret": "b"}},
                }
            },
            "webhook and pagerduty is given",
        ),
        (
            {
                "receivers": {
                    "mail": {
                        "email": {
                            "to": ["a@mill.test"],
                            "sender": "b@mill.test",
                            "smarthost": "smtp.mill.test:587",
                            "username": "c",
                        }
                    }
                }
            },
            "username and secret belong together",
        ),
        ({"runbooks": "docs/"}, "runbooks"),
        (
            {"heartbeat": "on-call", "pages": ["outside"]},
            "heartbeat names on-call, which is pagerduty: .* a webhook",
        ),
        ({"prometheus": {"storage": "1023Mi"}}, "1023Mi is too small .* '1Gi' or more"),
        ({"alertmanager": {"storage": "1Mi"}}, "1Mi is too small .* '16Mi' or more"),
    ],
)
def test_settings_that_would_tell_nobody_or_hold_nothing_are_refused(
    change: dict[str, Any], match: str
):
    with pytest.raises(ValidationError, match=match):
        settings(ALL | change)
