"""All rules, as files for Prometheus and, with their cases, for promtool."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from infra.model.records import RECORDS, Records
from infra.monitoring import alerts, burn_rates
from infra.monitoring.forms import Alert, Case, Group, Recording, RecordingCase, series

Document = dict[str, Any]

INTERVAL_SECONDS: Final = 30
"""How often rules are evaluated."""


def groups(records: Records = RECORDS) -> tuple[Group, ...]:
    """Every group of rules of the platform."""
    return (*burn_rates.groups(records), *alerts.groups(records))


def rule_files(records: Records = RECORDS, *, runbooks: str = "") -> Mapping[str, str]:
    """Name to content of every rule file.

    Args:
        runbooks: what the runbooks' paths in the repository are appended to, to be links.
    """
    return {f"{group.name}.yaml": written(rule_file(group, runbooks)) for group in groups(records)}


def rule_file(group: Group, runbooks: str = "") -> Document:
    """One group as Prometheus reads it."""
    interval = f"{INTERVAL_SECONDS}s"
    rules = [_rule(rule, group, runbooks) for rule in group.rules]
    return {"groups": [{"name": group.name, "interval": interval, "rules": rules}]}


def written(document: Document) -> str:
    """YAML whose keys stand in the order in which they were said."""
    return yaml.safe_dump(document, sort_keys=False, width=100, allow_unicode=True)


def _rule(rule: Alert | Recording, group: Group, runbooks: str) -> Document:
    if isinstance(rule, Recording):
        recording: Document = {"record": rule.name, "expr": rule.expr}
        return recording | ({"labels": dict(rule.labels)} if rule.labels else {})
    return {
        "alert": rule.name,
        "expr": rule.expr,
        "for": rule.pending,
        "keep_firing_for": rule.lingers,
        "labels": dict(rule.all_labels),
        "annotations": {
            "summary": rule.summary,
            "description": rule.description,
            "runbook_url": _runbook(rule, group, runbooks),
        },
    }


def _runbook(alert: Alert, group: Group, runbooks: str) -> str:
    return f"{runbooks}{group.page}#{alert.anchor}"


def test_file(group: Group, rule: Alert | Recording, rules: str) -> Document:
    """The rule's cases as promtool reads them.

    Args:
        rules: the group's rule file, relative to where this one will be.
    """
    # Rules are evaluated as often as values come; all cases of a rule have one step.
    [step] = {case.step for case in rule.cases}
    return {
        "rule_files": [rules],
        "evaluation_interval": step,
        "tests": [*_tests(group, rule)],
    }


def _tests(group: Group, rule: Alert | Recording) -> Iterator[Document]:
    for case in rule.cases:
        fed = [{"series": name, "values": values} for name, values in case.series.items()]
        test: Document = {"name": rule.name, "interval": case.step, "input_series": fed}
        if isinstance(rule, Alert):
            assert isinstance(case, Case)
            yield test | {"alert_rule_test": [_alert_test(group, rule, case)]}
        else:
            assert isinstance(case, RecordingCase)
            yield test | {"promql_expr_test": [_expression_test(rule, case)]}


def _alert_test(group: Group, alert: Alert, case: Case) -> Document:
    # Rules of one name (pairs of windows) are tested as one: each says what all of them do.
    same = {rule.labels.get("window", ""): rule for rule in group.alerts if rule.name == alert.name}
    expected: list[Document] = []
    for said in case.said:
        rule = same[said.labels.get("window", "")]
        labels = {**said.labels, **rule.all_labels}
        expected.append(
            {
                "exp_labels": labels,
                "exp_annotations": {
                    "summary": said.summary,
                    "description": rule.described(labels),
                    "runbook_url": _runbook(rule, group, ""),
                },
            }
        )
    return {"eval_time": case.at, "alertname": alert.name, "exp_alerts": expected}


def _expression_test(rule: Recording, case: RecordingCase) -> Document:
    samples = [
        {"labels": series(rule.name, **sample.labels), "value": sample.value}
        for sample in case.samples
    ]
    wanted = next((s.labels.get("slo") for s in case.samples), None)
    expr = f'{rule.name}{{slo="{wanted}"}}' if wanted else rule.name
    return {"expr": expr, "eval_time": case.at, "exp_samples": samples}
