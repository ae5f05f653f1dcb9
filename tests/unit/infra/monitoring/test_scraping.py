"""Prometheus takes the configuration, finds what the records say, and names it as rules expect."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.kit import paths
from components.monitoring import alertmanager, prometheus
from infra.model import edges
from infra.model.records import RECORDS
from infra.model.servers import DATABASE_ENGINES
from infra.model.services import Port, Service
from infra.monitoring import exporters
from infra.monitoring.scraping import parts
from infra.monitoring.scraping.configuration import configuration
from infra.stack.diff import load_stack
from tests.harness.composed import STACKS, composed

_NODE_FILES = "/var/run/secrets/kubernetes.io/serviceaccount"
Labels = dict[str, str]


def document(stack: str = "airgap", **changes: Any) -> dict[str, Any]:
    text = configuration(RECORDS, load_stack(stack), rule_files=prometheus.RULES, **changes)
    return yaml.safe_load(text)


def job(name: str) -> dict[str, Any]:
    [found] = [one for one in document()["scrape_configs"] if one["job_name"] == name]
    return found


def pod(name: str, port: str, **more: str) -> Labels:
    """As service discovery shows one container's port."""
    pods = "__meta_kubernetes_pod"
    return {
        f"{pods}_label_app_kubernetes_io_name": name,
        f"{pods}_container_port_name": port,
        f"{pods}_name": f"{name}-0",
        f"{pods}_phase": "Running",
        "__meta_kubernetes_namespace": "somewhere",
        **more,
    }


def found(promtool: Path, folder: Path, of: str, seen: Labels) -> Labels:
    """What becomes of a target, by Prometheus' own hand; nothing: it is not asked."""
    asked = job(of) | {"static_configs": [{"targets": ["10.0.0.1:1"], "labels": seen}]}
    del asked["kubernetes_sd_configs"]
    for secret in ("tls_config", "authorization"):
        asked.pop(secret, None)
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump({"scrape_configs": [asked]}))
    said: list[Any] = []
    # It looks for all of that time. Nothing, not even a target that is dropped: it had no processor
    # while it was to look, and that is no answer.
    for patience in ("1s", "30s"):
        command = [promtool, "check", "service-discovery", f"--timeout={patience}", file, of]
        ran = subprocess.run(command, capture_output=True, check=True, text=True)
        if said := json.loads(ran.stdout):
            break
    [target] = said
    labels: Labels = target["labels"] or {}
    return {name: value for name, value in labels.items() if not name.startswith("__")}


@pytest.mark.parametrize("stack", STACKS)
def test_prometheus_takes_what_each_stack_configures(stack: str, promtool: Path, tmp_path: Path):
    files = composed(stack).one("ConfigMap", "prometheus-config").inputs["data"]
    for name, text in files.items():
        here = text.replace(paths.ROOT, str(tmp_path)).replace(_NODE_FILES, str(tmp_path))
        (tmp_path / "prometheus").mkdir(exist_ok=True)
        (tmp_path / "prometheus" / name).write_text(here)
    for name in ("ca/ca.crt", "tls/tls.crt", "tls/tls.key", "ca.crt", "token"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    config = tmp_path / "prometheus" / "prometheus.yml"
    done = subprocess.run([promtool, "check", "config", config], capture_output=True, text=True)  # noqa: PLW1510 - its words are the message
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(files) - 2} rule files found" in done.stdout


def test_jobs_of_others_stand_beside_ours():
    more = {"job_name": "servers"}
    names = [one["job_name"] for one in document(more=[more])["scrape_configs"]]
    assert names[-1] == "servers"
    assert len(set(names)) == len(names)


def test_all_that_look_for_pods_share_one_watch():
    blocks = [one["kubernetes_sd_configs"] for one in document()["scrape_configs"]]
    assert [list(parts.PODS)] * 6 == [one for one in blocks if one[0]["role"] == "pod"]
    assert all(one == list(parts.NODES) for one in blocks if one[0]["role"] == "node")


def test_a_service_is_asked_at_its_http_port_under_its_own_name(promtool: Path, tmp_path: Path):
    kept = found(promtool, tmp_path, "services", pod("rest-service", "http"))
    assert kept | {"instance": ""} == {
        "instance": "",
        "job": "rest-service",
        "namespace": "somewhere",
        "pod": "rest-service-0",
    }
    assert not found(promtool, tmp_path, "services", pod("rest-service", "grpc"))
    assert not found(promtool, tmp_path, "services", pod("some-service", "http"))
    over = pod("rest-service", "http", __meta_kubernetes_pod_phase="Failed")
    assert not found(promtool, tmp_path, "services", over)


def test_an_archiver_is_told_of_as_its_server(promtool: Path, tmp_path: Path):
    kept = found(promtool, tmp_path, "archivers", pod("telemetry-archiver", "http"))
    assert (kept["job"], kept["pod"]) == ("telemetry-database", "telemetry-archiver-0")


def static_addresses(jobs: list[dict[str, Any]]) -> set[tuple[str, int]]:
    """Workload and port of what is asked by its address: exporters, and Kafka's nodes."""
    found: set[str] = set()
    for one in jobs:
        instead = [
            rule["replacement"]
            for rule in one["relabel_configs"]
            if rule.get("target_label") == "__address__"
        ]
        given = [target for group in one.get("static_configs", ()) for target in group["targets"]]
        found.update(instead or given)
    hosts = (address.rsplit(":", 1) for address in found)
    return {(re.sub(r"-\d+$", "", host.split(".")[0]), int(port)) for host, port in hosts}


def test_all_that_has_metrics_and_runs_is_asked():
    jobs = yaml.safe_load(
        composed("prod").one("ConfigMap", "prometheus-config").inputs["data"]["prometheus.yml"]
    )["scrape_configs"]
    asked = " ".join(
        rule["regex"]
        for one in jobs
        for rule in one["relabel_configs"]
        if rule.get("action") == "keep"
    )
    addresses = static_addresses(jobs)
    running = {
        (one.name, port["name"], port["containerPort"])
        for kind in ("DaemonSet", "Deployment", "StatefulSet")
        for one in composed("prod").of(kind)
        for container in one.inputs["spec"]["template"]["spec"]["containers"]
        for port in container.get("ports", ())
        if port["name"] in ("http", "metrics", "https", "own", "admin")
    }
    assert addresses == {
        (name, number) for name, _, number in running if (name, number) in addresses
    }
    by_name = {
        f"{name};{port}" for name, port, number in running if (name, number) not in addresses
    }
    assert by_name == set(re.split(r"[| ]", asked))


def test_a_service_without_http_is_not_asked():
    records = RECORDS.__class__(
        services=(*RECORDS.services, Service("talk", "talk", ports=(Port("grpc", 9000, "grpc"),)))
    )
    text = configuration(records, load_stack("airgap"), rule_files=prometheus.RULES)
    assert "talk" not in text


def test_of_an_archived_server_there_is_a_job_for_each_engine():
    named = {
        rule["replacement"] for rule in job("archivers")["relabel_configs"] if "replacement" in rule
    }
    assert named == {s.name for s in RECORDS.servers if s.engine in DATABASE_ENGINES}


def stays(of: str, name: str, **labels: str) -> bool:
    """Whether a series is kept: rules that keep and drop, in their order, with Go's anchors."""
    seen = {"__name__": name, **labels}
    for rule in job(of)["metric_relabel_configs"]:
        text = ";".join(seen.get(label, "") for label in rule.get("source_labels", ()))
        hit = re.fullmatch(rule["regex"], text) is not None
        if (rule["action"], hit) in (("keep", False), ("drop", True)):
            return False
    return True


def test_of_containers_what_rules_and_boards_ask_for_stays_and_nothing_else():
    own = {"container": "kafka", "pod": "kafka-0", "id": "/kubepods/pod1/abc"}
    for name in sorted(
        name for name in exporters.names("cAdvisor") if name.startswith("container_")
    ):
        assert stays("cadvisor", name, **own), name
    assert not stays("cadvisor", "container_tasks_state", **own)
    used = "container_memory_working_set_bytes"
    assert stays("cadvisor", used, id="/"), "the node"
    assert not stays("cadvisor", used, id="/system.slice"), "another group of it"
    assert not stays("cadvisor", used, pod="kafka-0", id="/kubepods/pod1"), "the containers' sum"
    sent = "container_network_transmit_bytes_total"
    assert stays("cadvisor", sent, pod="kafka-0", id="/kubepods/pod1"), "a pod's is all there is"
    assert not stays("cadvisor", sent, id="/"), "the node's interfaces, pods' among them"
    assert stays("cadvisor", "machine_cpu_cores")


def test_a_histograms_creation_is_not_kept_and_a_counter_of_that_name_is():
    assert not stays("services", "http_request_duration_seconds_created")
    assert not stays("services", "python_gc_collections_total")
    assert stays("services", "resources_created_total")


def test_kubelets_are_trusted_by_the_clusters_ca_unless_the_stack_says_otherwise():
    assert job("kubelet")["tls_config"] == {"ca_file": f"{_NODE_FILES}/ca.crt"}
    settings = load_stack("airgap")
    watching = settings.monitoring.prometheus.model_copy(update={"kubelet_verified": False})
    monitoring = settings.monitoring.model_copy(update={"prometheus": watching})
    changed = settings.model_copy(update={"monitoring": monitoring})
    text = configuration(RECORDS, changed, rule_files=prometheus.RULES)
    jobs = {one["job_name"]: one for one in yaml.safe_load(text)["scrape_configs"]}
    assert jobs["cadvisor"]["tls_config"] == {"insecure_skip_verify": True}


def test_the_ports_are_those_that_the_programs_listen_on():
    assert prometheus.PORT == edges.PROMETHEUS_PORT
    assert alertmanager.PORT == edges.ALERTMANAGER_PORT
    [peer] = document()["alerting"]["alertmanagers"]
    assert peer["static_configs"] == [
        {"targets": [f"alertmanager.monitoring.svc:{alertmanager.PORT}"]}
    ]
    assert peer["scheme"] == "https"
