"""One cause is one page, by the rules of inhibition as Alertmanager's documentation has them.

An alert is not told while another one fires that matches a rule's source, if the first matches its
target and both have the same values, or none, of the labels in `equal`; one that matches both sides
is not silenced by another that does.
"""

import re
from typing import Any

import pytest
import yaml

from infra.model.settings import MonitoringSettings
from infra.monitoring import routing, rules

ALERTS = {
    (alert.name, alert.labels.get("window", "")): alert
    for group in rules.groups()
    for alert in group.alerts
}
SILENCES: list[dict[str, Any]] = yaml.safe_load(routing.configuration(MonitoringSettings()))[
    "inhibit_rules"
]
Labels = dict[str, str]
Spoken = tuple[str, str, str]
"""Name, job, and of a budget the window."""


def matches(labels: Labels, matchers: list[str]) -> bool:
    for matcher in matchers:
        found = re.fullmatch(r'(\w+)(=~?)"(.*)"', matcher)
        assert found, matcher
        name, operator, wanted = found.groups()
        value = labels.get(name, "")
        if not (re.fullmatch(wanted, value) if operator == "=~" else value == wanted):
            return False
    return True


def silenced(labels: Labels, firing: list[Labels]) -> bool:
    for rule in SILENCES:
        source, target = rule["source_matchers"], rule["target_matchers"]
        if not matches(labels, target):
            continue
        both = matches(labels, source)
        for other in firing:
            if not matches(other, source) or (both and matches(other, target)):
                continue
            if all(labels.get(name, "") == other.get(name, "") for name in rule.get("equal", ())):
                return True
    return False


def labelled(name: str, job: str, window: str) -> Labels:
    made = {"alertname": name, "job": job}
    made |= {"slo": f"{job}-{name}"} if window else {}
    made |= {"cause": "server"} if name == "RecentCause" else {}
    return made | dict(ALERTS[name, window].all_labels)


def told(*spoken: Spoken) -> set[str]:
    """Which of these alerts, all firing, somebody is told of."""
    firing = [labelled(*each) for each in spoken]
    return {
        " ".join(filter(None, (labels["alertname"], labels.get("window"))))
        for labels in firing
        if labels["severity"] != "none" and not silenced(labels, firing)
    }


@pytest.mark.parametrize(
    ("spoken", "expected"),
    [
        pytest.param(
            [
                ("ServerDown", "kafka", ""),
                ("KafkaPartitionsOffline", "kafka", ""),
                ("SeriesAbsent", "kafka", ""),
                ("TargetDown", "kafka", ""),
                ("OutboxOldestEvent", "outbox-relay-rest", ""),
                ("FreshnessBudgetBurns", "outbox-relay-rest", "1h"),
                ("FreshnessBudgetBurns", "outbox-relay-rest", "6h"),
                ("AvailabilityBudgetBurns", "ingest-service", "1h"),
                ("ConsumerStuck", "event-worker", ""),
            ],
            {"ServerDown"},
            id="a broker is away",
        ),
        pytest.param(
            [
                ("ServerDown", "kafka", ""),
                ("KafkaNoController", "kafka", ""),
                ("KafkaPartitionsOffline", "kafka", ""),
            ],
            {"ServerDown"},
            id="all of Kafka is away",
        ),
        pytest.param(
            [
                ("KafkaNoController", "kafka", ""),
                ("SeriesAbsent", "kafka", ""),
                ("TargetDown", "kafka", ""),
                ("ConsumerStuck", "event-worker", ""),
            ],
            {"KafkaNoController", "TargetDown", "ConsumerStuck"},
            id="controllers are away, and brokers go on",
        ),
        pytest.param(
            [
                ("ServerDown", "data-store", ""),
                ("ServiceDown", "stream-writer", ""),
                ("ServiceDown", "ingest-service", ""),
                ("StreamFills", "", ""),
                ("DocumentsRefused", "ingest-service", ""),
                ("DatabaseConnections", "rest-service", ""),
            ],
            {"ServerDown"},
            id="a database is away, and with it who needs it",
        ),
        pytest.param(
            [
                ("ServiceDown", "stream-writer", ""),
                ("StreamFills", "", ""),
                ("StreamOldestEntry", "stream-writer", ""),
                ("FreshnessBudgetBurns", "stream-writer", "1h"),
                ("DocumentsRefused", "ingest-service", ""),
                ("AvailabilityBudgetBurns", "ingest-service", "1h"),
            ],
            {"ServiceDown"},
            id="nobody empties the stream",
        ),
        pytest.param(
            [
                ("StreamFills", "", ""),
                ("StreamOldestEntry", "stream-writer", ""),
                ("FreshnessBudgetBurns", "stream-writer", "1h"),
                ("DocumentsRefused", "ingest-service", ""),
                ("AvailabilityBudgetBurns", "ingest-service", "1h"),
            ],
            {"StreamFills"},
            id="more comes in than the stream's database takes",
        ),
        pytest.param(
            [
                ("ReplicationStopped", "telemetry-database", ""),
                ("ReplicationLate", "telemetry-database", ""),
                ("ConsumerStuck", "async-writer", ""),
            ],
            {"ReplicationStopped", "ConsumerStuck"},
            id="a copy no longer follows, which those who write do not notice",
        ),
        pytest.param(
            [
                ("PodRestarts", "rest-service", ""),
                ("ServiceDown", "rest-service", ""),
                ("AvailabilityBudgetBurns", "rest-service", "1h"),
                ("AvailabilityBudgetBurns", "rest-service", "1d"),
                ("HighErrorRate", "rest-service", ""),
                ("BudgetBlocksDrain", "rest-service", ""),
            ],
            {"ServiceDown"},
            id="all pods of a service crash",
        ),
        pytest.param(
            [
                ("AvailabilityBudgetBurns", "rest-service", "1h"),
                ("AvailabilityBudgetBurns", "rest-service", "3d"),
                ("HighErrorRate", "rest-service", ""),
            ],
            {"AvailabilityBudgetBurns 1h"},
            id="requests fail for a reason of the service's own",
        ),
        pytest.param(
            [
                ("ServerDown", "postgres", ""),
                ("TasksStuck", "grpc-service", ""),
                ("TasksOldestPending", "grpc-service", ""),
                ("AvailabilityBudgetBurns", "grpc-service", "1h"),
                ("OutboxOldestEvent", "outbox-relay-grpc", ""),
            ],
            {"ServerDown"},
            id="the database of tasks is away",
        ),
        pytest.param(
            [
                ("TasksStuck", "grpc-service", ""),
                ("TasksOldestPending", "grpc-service", ""),
                ("TaskProcessesDie", "grpc-service", ""),
            ],
            {"TasksStuck", "TaskProcessesDie"},
            id="no process for a task lives: its reason is told beside it",
        ),
        pytest.param(
            [
                ("ServiceDown", "grpc-service", ""),
                ("TasksStuck", "grpc-service", ""),
                ("FreshnessBudgetBurns", "grpc-service", "1h"),
                ("LatencyBudgetBurns", "grpc-service", "1h"),
                ("FreshnessBudgetBurns", "event-worker", "1h"),
            ],
            {"ServiceDown", "FreshnessBudgetBurns 1h"},
            id="nobody makes or runs tasks",
        ),
        pytest.param(
            [
                ("RecentCause", "kafka", ""),
                ("FreshnessBudgetBurns", "outbox-relay-rest", "6h"),
                ("FreshnessBudgetBurns", "stream-writer", "6h"),
            ],
            {"FreshnessBudgetBurns 6h"},
            id="a broker was away, and somebody who does not need it is late",
        ),
        pytest.param(
            [
                ("CacheDown", "redis-cache", ""),
                ("AvailabilityBudgetBurns", "rest-service", "1h"),
                ("VolumeFull", "", ""),
                ("CertificateEnds", "", ""),
            ],
            {"CacheDown", "AvailabilityBudgetBurns 1h", "VolumeFull", "CertificateEnds"},
            id="a ticket silences no page, and what has no job nobody else's",
        ),
        pytest.param(
            [
                ("ServerDown", "client-database", ""),
                ("ServiceDown", "auth-service", ""),
                ("AvailabilityBudgetBurns", "rest-service", "1h"),
            ],
            {"ServerDown", "AvailabilityBudgetBurns 1h"},
            id="what does not depend on it is still told",
        ),
    ],
)
def test_one_cause_is_one_page(spoken: list[Spoken], expected: set[str]):
    assert told(*spoken) == expected


def test_what_is_told_by_itself_is_told():
    for (name, window), alert in ALERTS.items():
        alone = told((name, "rest-service", window))
        assert len(alone) == (alert.severity != "none"), name
