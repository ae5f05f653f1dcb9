"""The builder every Python service goes through."""

from typing import Any

import pulumi
import pytest

from components.kit.args import Mount
from components.workloads.ports import Entry, Port
from policies.rule import evaluate
from policies.rules import RULES, STACK_RULES
from tests.harness import platforms
from tests.harness.platforms import files
from tests.harness.recording import Recording, record
from tests.policy.adapter import resources


def pod(recording: Recording) -> dict[str, Any]:
    return recording.of("Deployment")[0].inputs["spec"]["template"]["spec"]


def container(recording: Recording) -> dict[str, Any]:
    return pod(recording)["containers"][0]


def variables(recording: Recording) -> dict[str, Any]:
    return {v["name"]: v.get("value") for v in container(recording)["env"]}


def config_hash(**changes: Any) -> str:
    template = record(lambda: platforms.workload(**changes)).of("Deployment")[0]
    return template.inputs["spec"]["template"]["metadata"]["annotations"][
        "millrace.dev/config-hash"
    ]


def test_a_rollout_adds_a_pod_before_it_takes_one_away() -> None:
    spec = platforms.recorded("Workload").of("Deployment")[0].inputs["spec"]
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }


@pytest.mark.parametrize(("replicas", "available"), [(2, 1), (3, 2), (5, 4)])
def test_a_drain_may_evict_exactly_one_of_several_replicas(replicas: int, available: int) -> None:
    recording = record(lambda: platforms.workload(replicas=replicas))
    assert recording.of("PodDisruptionBudget")[0].inputs["spec"]["minAvailable"] == available


def test_a_single_replica_has_no_budget_so_that_its_node_can_be_drained() -> None:
    assert record(lambda: platforms.workload(replicas=1)).of("PodDisruptionBudget") == []


def test_a_stricter_budget_may_be_asked_for() -> None:
    recording = record(lambda: platforms.workload(replicas=3, min_available=1))
    assert recording.of("PodDisruptionBudget")[0].inputs["spec"]["minAvailable"] == 1


def test_liveness_never_depends_on_the_database_and_readiness_does() -> None:
    made = container(platforms.recorded("Workload"))
    assert made["readinessProbe"]["httpGet"]["path"] == "/ready"
    for probe in ("livenessProbe", "startupProbe"):
        assert made[probe]["httpGet"]["path"] == "/health"


def test_it_keeps_serving_while_proxies_learn_that_it_leaves_and_then_has_time_to_finish() -> None:
    recording = record(lambda: platforms.workload(drain_seconds=7, termination_grace_seconds=60))
    assert container(recording)["lifecycle"]["preStop"] == {"sleep": {"seconds": 7}}
    assert pod(recording)["terminationGracePeriodSeconds"] == 60
    assert variables(recording)["SHUTDOWN_GRACE_SECONDS"] == "48"


def test_the_service_is_told_its_name_port_and_pod() -> None:
    recording = platforms.recorded("Workload")
    found = variables(recording)
    assert (found["SERVICE_NAME"], found["HTTP_PORT"]) == ("rest-service", "8080")
    relay = next(v for v in container(recording)["env"] if v["name"] == "RELAY_ID")
    assert relay["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"


def test_connections_bring_their_variables_and_mounts() -> None:
    recording = platforms.recorded("Workload")
    found, mounts = variables(recording), container(recording)["volumeMounts"]
    assert found["DATABASE_HOST"] == "postgres.data.svc"
    assert found["DATABASE_PASSWORD_FILE"] == "/etc/millrace/secrets/database/password"
    assert found["REDIS_CA_FILE"] == "/etc/millrace/ca/ca.crt"
    assert {m["mountPath"] for m in mounts} == {
        "/tmp",
        "/etc/millrace/ca",
        "/etc/millrace/secrets/database",
        "/etc/millrace/secrets/redis",
    }


def test_only_tmp_can_be_written() -> None:
    recording = platforms.recorded("Workload")
    assert container(recording)["securityContext"]["readOnlyRootFilesystem"] is True
    writable = [
        m["mountPath"] for m in container(recording)["volumeMounts"] if not m.get("readOnly")
    ]
    assert writable == ["/tmp"]


@pytest.mark.parametrize(
    "changes",
    [
        {"env": {"LOG_LEVEL": "DEBUG"}},
        {"ca": files("millrace-ca", "ConfigMap", version="2")},
        {"mounts": (Mount(files=files(version="9"), path="/etc/millrace/more"),)},
        {"config": {"migration": "migrate-restdb-1234"}},
    ],
    ids=["variable", "CA", "mount", "migration"],
)
def test_pods_roll_when_what_they_read_changes(changes: dict[str, Any]) -> None:
    assert config_hash(**changes) != config_hash()


def test_pods_stay_when_nothing_they_read_changes() -> None:
    assert config_hash() == config_hash(replicas=5)


def test_a_node_port_is_the_one_asked_for() -> None:
    service = platforms.recorded("Workload").of("Service")[0].inputs["spec"]
    assert service["type"] == "NodePort"
    assert service["ports"][0]["nodePort"] == 30080
    assert service["ports"][0]["targetPort"] == "http"


def test_without_an_entry_it_is_reached_inside_the_cluster_only() -> None:
    ports = (Port(name="http", number=8080),)
    recording = record(lambda: platforms.workload(ports=ports, entry=None))
    service = recording.of("Service")[0].inputs["spec"]
    assert service["type"] == "ClusterIP"
    assert "nodePort" not in service["ports"][0]


def test_a_load_balancer_gets_its_annotations() -> None:
    entry = Entry(type="LoadBalancer", annotations={"lb/tls": "arn"})
    ports = (Port(name="http", number=8080, outside=443),)
    service = record(lambda: platforms.workload(entry=entry, ports=ports)).of("Service")[0].inputs
    assert service["metadata"]["annotations"].items() >= {"lb/tls": "arn"}.items()
    assert service["spec"]["ports"][0]["port"] == 443


def test_the_deployment_waits_for_the_results_it_builds_on() -> None:
    """Data flow, not `depends_on`: it names the migration Job that must have succeeded."""

    def program() -> None:
        migrated = platforms.job().completed
        platforms.workload(config={"migration": migrated})

    recording = record(program)
    job = next(r for r in recording.of("Job") if r.custom)
    assert job.urn in recording.of("Deployment")[0].dependencies


def test_an_image_known_only_after_its_build_is_deployed_by_digest() -> None:
    built = pulumi.Output.from_input(platforms.image("services"))
    assert container(record(lambda: platforms.workload(image=built)))["image"].endswith("ab" * 32)


FULL = "Workload in full"


def test_every_port_has_its_name_and_the_service_hears_of_its_number() -> None:
    recording = platforms.recorded(FULL)
    found = {p["name"]: p["containerPort"] for p in container(recording)["ports"]}
    assert found == {"grpc": 9000, "http": 8080, "admin": 8081}
    said = variables(recording)
    assert (said["GRPC_PORT"], said["HTTP_PORT"], said["ADMIN_PORT"]) == ("9000", "8080", "8081")


def test_a_port_that_is_not_published_has_a_service_that_is_not_reached_from_outside() -> None:
    services = {s.name: s.inputs["spec"] for s in platforms.recorded(FULL).of("Service")}
    assert services["rest-service"]["type"] == "NodePort"
    published = {p["name"]: p for p in services["rest-service"]["ports"]}
    assert {name: port["nodePort"] for name, port in published.items()} == {
        "grpc": 30090,
        "http": 30080,
    }
    assert {name: port["port"] for name, port in published.items()} == {"grpc": 9000, "http": 80}
    assert published["grpc"]["appProtocol"] == "kubernetes.io/h2c"
    internal = services["rest-service-internal"]
    assert internal["type"] == "ClusterIP"
    assert [(p["name"], p["port"]) for p in internal["ports"]] == [("admin", 8081)]


def test_a_health_port_that_speaks_grpc_is_asked_over_grpc() -> None:
    made = container(platforms.recorded(FULL))
    assert made["readinessProbe"]["grpc"] == {"port": 9000, "service": "readiness"}
    for probe in ("livenessProbe", "startupProbe"):
        assert made[probe]["grpc"] == {"port": 9000, "service": "liveness"}
        assert "httpGet" not in made[probe]


def test_another_port_than_the_first_may_be_the_one_that_probes_ask() -> None:
    ports = (Port(name="grpc", number=9000, protocol="grpc"), Port(name="http", number=8080))
    recording = record(
        lambda: platforms.workload(ports=ports, entry=None, health_port="http"),
    )
    assert container(recording)["readinessProbe"]["httpGet"]["port"] == "http"


def test_a_sidecar_starts_before_the_service_and_has_its_own_files_and_size() -> None:
    (sidecar,) = pod(platforms.recorded(FULL))["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    assert [m["mountPath"] for m in sidecar["volumeMounts"]] == ["/etc/millrace/proxy"]
    assert sidecar["securityContext"]["readOnlyRootFilesystem"] is True
    assert sidecar["resources"]["limits"]["memory"]
    volumes = {v["name"] for v in pod(platforms.recorded(FULL))["volumes"]}
    assert sidecar["volumeMounts"][0]["name"] in volumes
    assert "initContainers" not in pod(platforms.recorded("Workload"))


@pytest.mark.parametrize(
    "changes",
    [
        {"env": {"UPSTREAM": "elsewhere"}},
        {"mounts": (Mount(files=files(version="9"), path="/etc/millrace/proxy"),)},
    ],
    ids=["variable", "mount"],
)
def test_pods_roll_when_what_a_sidecar_reads_changes(changes: dict[str, Any]) -> None:
    before = config_hash(sidecars=(platforms.sidecar(),))
    assert config_hash(sidecars=(platforms.sidecar(**changes),)) != before


def test_a_range_begins_at_its_lower_end_and_is_then_the_autoscalers() -> None:
    recording = platforms.recorded(FULL)
    deployment = recording.of("Deployment")[0]
    assert deployment.inputs["spec"]["replicas"] == 2
    assert deployment.left_alone == ("spec.replicas",)
    assert platforms.recorded("Workload").of("Deployment")[0].left_alone == ()
    spec = recording.of("HorizontalPodAutoscaler")[0].inputs["spec"]
    assert spec["scaleTargetRef"]["name"] == "rest-service"
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 10)
    assert spec["metrics"][0]["containerResource"] == {
        "name": "cpu",
        "container": "rest-service",
        "target": {"type": "Utilization", "averageUtilization": 60},
    }
    assert spec["behavior"] == {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": 60,
            "policies": [{"type": "Pods", "value": 2, "periodSeconds": 30}],
        },
    }
    budget = recording.of("PodDisruptionBudget")[0].inputs["spec"]
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget
    assert platforms.recorded("Workload").of("HorizontalPodAutoscaler") == []


def test_pulumi_waits_for_as_many_pods_as_a_range_may_have() -> None:
    def seconds(shape: str) -> int:
        made = platforms.recorded(shape).of("Deployment")[0].inputs["metadata"]
        return int(made["annotations"]["pulumi.com/timeoutSeconds"]) - 600

    assert seconds(FULL) == 5 * seconds("Workload")


def test_a_token_is_mounted_only_where_it_was_asked_for() -> None:
    recording = record(lambda: platforms.workload(api_token=True))
    assert pod(recording)["automountServiceAccountToken"] is True
    assert recording.of("ServiceAccount")[0].inputs["automountServiceAccountToken"] is False
    assert pod(platforms.recorded("Workload"))["automountServiceAccountToken"] is False
    found = evaluate(RULES, STACK_RULES, resources(recording))
    assert not [violation for violation in found if violation.rule == "no-token"]
