"""The collector and Jaeger: what they may do, what rolls them, and by whom they are trusted."""

from typing import Any

import pytest
import yaml

from components.kit import paths
from components.monitoring import collector_config, jaeger
from tests.harness import platforms
from tests.harness.recording import Recording, record

SHAPES = ("Collector", "Jaeger")
HASH = "millrace.dev/config-hash"


def deployment(recording: Recording) -> Any:
    [found] = recording.of("Deployment")
    return found.inputs["spec"]


def container(recording: Recording) -> Any:
    [found] = deployment(recording)["template"]["spec"]["containers"]
    return found


def rolled_by(recording: Recording) -> str:
    return deployment(recording)["template"]["metadata"]["annotations"][HASH]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_next_pod_is_ready_before_the_last_one_goes(shape: str) -> None:
    spec = deployment(platforms.recorded(shape))
    assert spec["replicas"] == 1
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert not platforms.recorded(shape).of("PodDisruptionBudget"), "it could only block a drain"


@pytest.mark.parametrize("shape", SHAPES)
def test_the_certificate_is_for_the_name_by_which_clients_come(shape: str) -> None:
    [request] = platforms.recorded(shape).of("CertRequest")
    assert f"{shape.lower()}.monitoring.svc" in request.inputs["dnsNames"]


@pytest.mark.parametrize(
    ("shape", "make"), [("Collector", platforms.collector), ("Jaeger", platforms.jaeger)]
)
def test_another_ca_rolls_it_as_it_reads_that_once(shape: str, make: Any) -> None:
    other = platforms.files("millrace-ca", "ConfigMap", version="2")
    assert rolled_by(platforms.recorded(shape)) != rolled_by(record(lambda: make(ca=other)))


def test_another_configuration_rolls_the_collector() -> None:
    changed = record(lambda: platforms.collector(kept=0.5))
    assert rolled_by(platforms.recorded("Collector")) != rolled_by(changed)


def test_the_collector_reads_objects_of_the_namespaces_it_is_given_and_changes_none() -> None:
    recording = platforms.recorded("Collector")
    roles = recording.of("Role")
    assert {role.inputs["metadata"]["namespace"] for role in roles} == {"data", "apps"}
    rules = [rule for role in roles for rule in role.inputs["rules"]]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}
    kinds = {kind for rule in rules for kind in rule["resources"]}
    assert kinds.isdisjoint({"secrets", "configmaps", "*"})
    assert not recording.of("ClusterRole")
    bindings = recording.of("RoleBinding")
    assert {s["namespace"] for b in bindings for s in b.inputs["subjects"]} == {"monitoring"}


def test_the_collector_serves_spans_and_metrics_and_its_health() -> None:
    ports = {
        p["name"]: p["containerPort"] for p in container(platforms.recorded("Collector"))["ports"]
    }
    assert ports == {
        "otlp": collector_config.OTLP_PORT,
        "metrics": collector_config.METRICS_PORT,
        "own": collector_config.OWN_PORT,
        "health": collector_config.HEALTH_PORT,
    }


@pytest.mark.parametrize(("inside", "trusted"), [(True, paths.CA_FILE), (False, None)])
def test_a_store_elsewhere_is_trusted_by_what_the_image_trusts(
    inside: bool, trusted: str | None
) -> None:
    recording = record(lambda: platforms.collector(store="traces.mill:4317", store_inside=inside))
    text = recording.one("ConfigMap", "collector-config").inputs["data"]["collector.yaml"]
    [exporter] = [
        said for name, said in yaml.safe_load(text)["exporters"].items() if name.startswith("otlp")
    ]
    assert exporter["endpoint"] == "traces.mill:4317"
    assert (exporter.get("tls") or {}).get("ca_file") == trusted
    assert not (exporter.get("tls") or {}).get("insecure")


def test_every_port_of_jaeger_is_tls_and_what_it_keeps_is_bounded() -> None:
    command = container(platforms.recorded("Jaeger"))["command"]
    assert "--memory.max-traces=5000" in command
    for server in ("collector.otlp.grpc", "query.http", "admin.http"):
        assert f"--{server}.tls.enabled=true" in command
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container(platforms.recorded("Jaeger"))[probe]["httpGet"]["scheme"] == "HTTPS"
    assert jaeger.OTLP_PORT in {
        p["containerPort"] for p in container(platforms.recorded("Jaeger"))["ports"]
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_go_is_told_of_its_limits(shape: str) -> None:
    told = {v["name"]: v["value"] for v in container(platforms.recorded(shape))["env"]}
    assert told["GOMAXPROCS"] == "1"
    assert 0 < int(told["GOMEMLIMIT"]) < 1024**3, "below the limit of a GiB"
