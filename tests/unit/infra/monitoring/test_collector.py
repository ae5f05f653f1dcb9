"""What the collector is told, and by which names Prometheus keeps what it tells."""

import re
from typing import Any

import pytest
import yaml

from components.monitoring.collector_config import configuration
from infra.model.settings.tracing import TracingSettings
from infra.monitoring import exporters
from infra.monitoring.scraping.collector import of_collector
from infra.stack.diff import load_stack


def told(**changes: Any) -> dict[str, Any]:
    said: dict[str, Any] = {
        "namespaces": ("apps", "data"),
        "metrics": {"k8s.deployment.desired"},
        "kept": 0.25,
        "store": "jaeger.monitoring.svc:4317",
        "store_ca": "/ca.crt",
    }
    return yaml.safe_load(configuration(**said | changes))


def test_every_trace_that_failed_or_was_slow_is_kept_and_a_share_of_the_rest():
    policies = {one["type"]: one for one in told()["processors"]["tail_sampling"]["policies"]}

    assert policies["status_code"]["status_code"]["status_codes"] == ["ERROR"]
    assert policies["latency"]["latency"]["threshold_ms"] == 1000
    assert policies["probabilistic"]["probabilistic"]["sampling_percentage"] == 25


def test_figures_are_of_all_spans():
    pipelines = told()["service"]["pipelines"]

    assert "tail_sampling" not in pipelines["traces/figures"]["processors"]
    assert pipelines["traces/figures"]["exporters"] == ["spanmetrics"]
    assert "tail_sampling" in pipelines["traces/kept"]["processors"]


def test_of_objects_only_what_is_asked_for_is_told():
    metrics = told()["receivers"]["k8s_cluster"]["metrics"]

    assert [name for name, said in metrics.items() if said["enabled"]] == ["k8s.deployment.desired"]
    assert not metrics["k8s.container.ready"]["enabled"]


@pytest.mark.parametrize(
    ("pod", "job"),
    [
        ("postgres-0", "postgres"),
        ("telemetry-database-readers-1", "telemetry-database-readers"),
        ("rest-service-7c9d8f6b5-x2x5z", "rest-service"),
        ("postgres-archiver-29395210-4k8bz", "postgres-archiver"),
        ("kafka-provision-2xk7b", "kafka-provision"),
    ],
)
def test_a_containers_job_is_what_made_its_pod(pod: str, job: str):
    [rule] = [
        rule
        for rule in of_collector(load_stack("airgap"))[0]["metric_relabel_configs"]
        if rule.get("source_labels") == ["k8s_pod_name"] and rule["target_label"] == "job"
    ]

    found = re.fullmatch(rule["regex"], pod)

    assert found is not None
    assert found.group(1) == job


def test_every_series_of_objects_that_rules_and_boards_use_is_kept():
    keep = of_collector(load_stack("airgap"))[0]["metric_relabel_configs"][0]["regex"].split("|")

    assert exporters.names("OpenTelemetry Collector, k8s_cluster receiver") <= set(keep)


def test_jaeger_is_asked_where_the_stack_names_no_other_store():
    settings = load_stack("airgap")
    elsewhere = settings.tracing.model_copy(update={"store": "traces.example:4317"})

    def jobs(tracing: TracingSettings) -> list[str]:
        changed = settings.model_copy(update={"tracing": tracing})
        return [one["job_name"] for one in of_collector(changed)]

    assert jobs(settings.tracing) == ["collector", "collector-own", "jaeger"]
    assert jobs(elsewhere) == ["collector", "collector-own"]
