"""Every rule has an example that passes and examples that fail, each for one reason."""

import pytest

from policies.resources import UNKNOWN, Resource
from policies.rule import evaluate
from policies.rules import RULES, STACK_RULES
from policies.rules_pod_security import READS_NODE_LOGS
from tests.policy.examples import CONTAINER, MISSING, TYPES, changed, good

SECURITY = f"{CONTAINER}.securityContext"
POD = "spec.template.spec"

# Rule, resource that breaks it, part of the finding.
FAILING: list[tuple[str, Resource, str]] = [
    ("image-exact", changed("Deployment", (f"{CONTAINER}.image", "registry:5000/web")), "tomorrow"),
    ("image-exact", changed("Deployment", (f"{CONTAINER}.image", "web:latest")), "tomorrow"),
    ("image-exact", changed("Deployment", (f"{CONTAINER}.image", "web:stable")), "tomorrow"),
    ("image-exact", changed("Deployment", (f"{CONTAINER}.image", "web:17-trixie")), "tomorrow"),
    ("image-exact", changed("Deployment", (f"{CONTAINER}.image", "web:v3")), "tomorrow"),
    ("image-exact", changed("Job", (f"{CONTAINER}.image", "")), "no image"),
    (
        "image-exact",
        changed("Job", (f"{POD}.initContainers", [{"name": "i", "image": "web"}])),
        "container i",
    ),
    (
        "requests-and-limits",
        changed("Deployment", (f"{CONTAINER}.resources.limits.memory", MISSING)),
        "limits lacks memory",
    ),
    (
        "requests-and-limits",
        changed("Job", (f"{CONTAINER}.resources", MISSING)),
        "requests lacks cpu and memory",
    ),
    ("probes", changed("Deployment", (f"{CONTAINER}.livenessProbe", MISSING)), "livenessProbe"),
    ("probes", changed("StatefulSet", (f"{CONTAINER}.readinessProbe", MISSING)), "readinessProbe"),
    (
        "read-only-root",
        changed("Job", (f"{SECURITY}.readOnlyRootFilesystem", MISSING)),
        "emptyDir",
    ),
    *(
        ("pod-security-restricted", changed("Deployment", (path, value)), part)
        for path, value, part in [
            (f"{POD}.hostNetwork", True, "hostNetwork"),
            (f"{POD}.hostPID", True, "hostPID"),
            (f"{POD}.hostIPC", True, "hostIPC"),
            (f"{POD}.volumes", [{"name": "h", "hostPath": {"path": "/"}}], "kind hostPath"),
            (f"{POD}.securityContext.sysctls", [{"name": "kernel.msgmax"}], "sysctl"),
            (f"{POD}.securityContext.runAsNonRoot", MISSING, "may run as root"),
            (f"{SECURITY}.runAsNonRoot", False, "may run as root"),
            (f"{SECURITY}.runAsUser", 0, "runs as root"),
            (f"{SECURITY}.allowPrivilegeEscalation", MISSING, "gain privileges"),
            (f"{SECURITY}.privileged", True, "is privileged"),
            (f"{SECURITY}.capabilities.drop", ["NET_RAW"], "drop ALL"),
            (f"{SECURITY}.capabilities.add", ["SYS_ADMIN"], "SYS_ADMIN"),
            (f"{POD}.securityContext.seccompProfile", MISSING, "seccomp"),
            (f"{SECURITY}.seccompProfile", {"type": "Unconfined"}, "seccomp"),
            (f"{SECURITY}.appArmorProfile", {"type": "Unconfined"}, "AppArmor"),
            (f"{SECURITY}.seLinuxOptions", {"role": "sysadm_r"}, "SELinux user or role"),
            (f"{SECURITY}.seLinuxOptions", {"type": "spc_t"}, "SELinux type"),
            (f"{SECURITY}.procMount", "Unmasked", "/proc"),
            (f"{CONTAINER}.ports", [{"hostPort": 80}], "hostPort"),
            (f"{SECURITY}.windowsOptions", {"hostProcess": True}, "Windows"),
            (f"{CONTAINER}.livenessProbe.httpGet.host", "elsewhere", "names a host"),
        ]
    ),
    ("high-ids", changed("Job", (f"{POD}.securityContext.runAsUser", 999)), "runAsUser is 999"),
    ("high-ids", changed("Job", (f"{POD}.securityContext.runAsGroup", MISSING)), "runAsGroup"),
    ("no-token", changed("Job", (f"{POD}.automountServiceAccountToken", MISSING)), "mounts"),
    ("no-token", changed("Job", (f"{POD}.automountServiceAccountToken", True)), "api-token"),
    ("no-token", changed("Job", (f"{POD}.serviceAccountName", MISSING)), "default service"),
    (
        "no-token",
        changed("ServiceAccount", ("automountServiceAccountToken", MISSING)),
        "every pod",
    ),
    (
        "no-secret-env",
        changed("Job", (f"{CONTAINER}.env", [{"name": "DB_PASSWORD", "value": "x"}])),
        "DB_PASSWORD_FILE",
    ),
    (
        "no-secret-env",
        changed(
            "Job",
            (f"{CONTAINER}.env", [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s"}}}]),
        ),
        "mount it",
    ),
    (
        "no-secret-env",
        changed("Job", (f"{CONTAINER}.envFrom", [{"secretRef": {"name": "s"}}])),
        "whole Secret",
    ),
    (
        "no-secret-config",
        changed("ConfigMap", ("data", {"k": "-----BEGIN EC PRIVATE KEY-----\nx"})),
        "private key",
    ),
    (
        "no-secret-config",
        changed("ConfigMap", ("data", {"redis.conf": "requirepass hunter2"})),
        "password",
    ),
    *(
        ("no-plaintext-hop", changed("ConfigMap", ("data", {"file": text})), part)
        for text, part in [
            ("listeners=CLIENT://:9092,X=PLAINTEXT://:9093", "listener"),
            ("listener.security.protocol.map=CLIENT:SASL_PLAINTEXT", "listener"),
            ("host all all 0.0.0.0/0 scram-sha-256", "pg_hba"),
            ("ssl = off", "ssl"),
            ("port 6379", "plaintext port"),
        ]
    ),
    (
        "restricted-namespace",
        changed("Namespace", ("metadata.labels", {})),
        "pod-security.kubernetes.io/enforce",
    ),
    (
        "restricted-namespace",
        changed(
            "Namespace",
            ("metadata.name", "logging"),
            ("metadata.annotations", {READS_NODE_LOGS: "asked for"}),
        ),
        "set it to 'privileged'",
    ),
    *(
        (
            "pod-security-restricted",
            changed(
                "Deployment",
                ("spec.template.metadata.annotations", {READS_NODE_LOGS: "asked for"}),
                ("metadata.namespace", namespace),
                (f"{POD}.volumes", [{"name": "h", "hostPath": {"path": path, "type": kind}}]),
                (f"{CONTAINER}.volumeMounts", [{"name": "h", "readOnly": read_only}]),
            ),
            part,
        )
        for namespace, path, kind, read_only, part in [
            ("apps", "/var/log/pods", "Directory", True, "kind hostPath"),
            ("logging", "/var/log", "Directory", True, "only the Directory /var/log/pods is lent"),
            ("logging", "/var/log/pods", "DirectoryOrCreate", True, "only the Directory"),
            ("logging", "/var/log/pods", "Directory", False, "set readOnly"),
        ]
    ),
    ("no-default-namespace", changed("Service", ("metadata.namespace", MISSING)), "default"),
    (
        "config-hash",
        changed("StatefulSet", ("spec.template.metadata.annotations", MISSING)),
        "config-hash",
    ),
    ("surge-rollout", changed("Deployment", ("spec.strategy", MISSING)), "maxSurge 1"),
    ("spread", changed("Deployment", (f"{POD}.topologySpreadConstraints", MISSING)), "one node"),
    (
        "claim-retention",
        changed("StatefulSet", ("spec.persistentVolumeClaimRetentionPolicy", MISSING)),
        "whenDeleted",
    ),
    (
        "kept-is-protected",
        changed("StatefulSet", ("spec.persistentVolumeClaimRetentionPolicy.whenDeleted", "Retain")),
        "millrace:protect",
    ),
    ("kept-is-protected", good("StatefulSet", protect=True), "whenScaled"),
]

BUDGET, WORKLOAD = good("PodDisruptionBudget"), good("Deployment")
SINGLE = changed("Deployment", ("spec.replicas", 1))
THREE = changed("Deployment", ("spec.replicas", 3))

TOKENS_OFF = changed("Deployment", (f"{CONTAINER}.env", [{"name": "AUTH_MODE", "value": "off"}]))
KEPT = good("ConfigMap", protect=True)
OPEN = changed("Deployment", ("spec.replicas", MISSING))
SCALER = good("HorizontalPodAutoscaler")
RANGE_BUDGET = changed(
    "PodDisruptionBudget", ("spec.minAvailable", MISSING), ("spec.maxUnavailable", 1)
)

FAILING_STACKS: list[tuple[str, list[Resource], str]] = [
    ("one-eviction", [WORKLOAD], "no PodDisruptionBudget"),
    (
        "one-eviction",
        [WORKLOAD, changed("PodDisruptionBudget", ("metadata.namespace", "data"))],
        "no PodDisruptionBudget",
    ),
    ("one-eviction", [SINGLE, BUDGET], "single replica"),
    ("one-eviction", [OPEN, SCALER], "a range of replicas and no PodDisruptionBudget"),
    ("one-eviction", [OPEN, SCALER, BUDGET], "minAvailable is 1 of a range"),
    ("one-eviction", [WORKLOAD, BUDGET, BUDGET], "two budgets"),
    ("one-eviction", [THREE, BUDGET], "minAvailable is 1 of 3; set 2"),
    (
        "one-eviction",
        [WORKLOAD, changed("PodDisruptionBudget", ("spec.minAvailable", 2))],
        "minAvailable is 2 of 2; set 1",
    ),
    (
        "one-eviction",
        [
            THREE,
            changed(
                "PodDisruptionBudget", ("spec.minAvailable", MISSING), ("spec.maxUnavailable", 0)
            ),
        ],
        "maxUnavailable is 0",
    ),
    (
        "one-eviction",
        [WORKLOAD, changed("PodDisruptionBudget", ("spec.unhealthyPodEvictionPolicy", MISSING))],
        "AlwaysAllow",
    ),
    *(
        (
            "autoscaler",
            [WORKLOAD, changed("HorizontalPodAutoscaler", (path, value)), RANGE_BUDGET],
            part,
        )
        for path, value, part in [
            ("spec.minReplicas", 1, "minReplicas is 1, of which the disruption budget lets one go"),
            ("spec.minReplicas", MISSING, "minReplicas is 1"),
            ("spec.maxReplicas", 2, "maxReplicas (2) is not above minReplicas (2)"),
            ("spec.behavior.scaleDown", MISSING, "set behavior.scaleDown"),
        ]
    ),
    ("autoscaler", [SCALER], "scales web, which is no Deployment of its namespace"),
    ("tokens-required", [TOKENS_OFF, BUDGET, KEPT], "container web: AUTH_MODE is not required"),
    ("no-dangling-service", [good("Service")], "matches no pod"),
    (
        "no-dangling-service",
        [
            WORKLOAD,
            BUDGET,
            changed("Service", ("spec.ports", [{"port": 80, "targetPort": "grpc"}])),
        ],
        "targetPort grpc",
    ),
]


@pytest.mark.parametrize("kind", TYPES)
def test_a_good_resource_passes_every_rule(kind: str):
    assert evaluate(RULES, (), [good(kind)]) == []


def test_good_resources_pass_together():
    stack = [good(kind) for kind in ("Deployment", "PodDisruptionBudget", "Service")]
    assert evaluate(RULES, STACK_RULES, stack) == []


@pytest.mark.parametrize(("rule", "resource", "part"), FAILING)
def test_a_bad_resource_is_found_by_its_rule(rule: str, resource: Resource, part: str):
    found = [v for v in evaluate(RULES, (), [resource]) if v.rule == rule]
    assert any(part in violation.finding for violation in found), found


@pytest.mark.parametrize(("rule", "stack", "part"), FAILING_STACKS)
def test_a_bad_stack_is_found_by_its_rule(rule: str, stack: list[Resource], part: str):
    found = evaluate((), STACK_RULES, stack)
    assert [violation.rule for violation in found] == [rule], found
    assert part in found[0].finding


def test_every_rule_has_an_example_that_fails():
    shown = {rule for rule, _, _ in [*FAILING, *FAILING_STACKS]}
    assert shown == {rule.name for rule in (*RULES, *STACK_RULES)}


def test_rule_names_are_unique_and_every_rule_says_what_it_asks_for():
    rules = (*RULES, *STACK_RULES)
    assert len({rule.name for rule in rules}) == len(rules)
    assert all(rule.description.endswith(".") for rule in rules)


def test_an_image_that_is_still_being_built_is_not_held_against_the_pod():
    resource = changed("Deployment", (f"{CONTAINER}.image", UNKNOWN))
    assert evaluate(RULES, (), [resource]) == []


@pytest.mark.parametrize("tag", ["1.2.3", "17.11-trixie", "v1.4.0", "src-0a1b2c3d4e5f", "20261121"])
def test_a_tag_that_names_one_release_or_one_build_is_exact(tag: str):
    image = f"registry:5000/web:{tag}"
    assert evaluate(RULES, (), [changed("Job", (f"{CONTAINER}.image", image))]) == []


def test_a_digest_is_exact_even_without_a_tag():
    image = f"registry:5000/web@sha256:{'0' * 64}"
    assert evaluate(RULES, (), [changed("Job", (f"{CONTAINER}.image", image))]) == []


def test_a_stack_that_protects_nothing_may_do_without_tokens():
    assert evaluate((), STACK_RULES, [TOKENS_OFF, BUDGET]) == []


def test_a_budget_of_three_may_say_one_unavailable():
    assert evaluate((), STACK_RULES, [THREE, RANGE_BUDGET]) == []


def test_a_budget_of_a_range_says_one_unavailable():
    for workload in (OPEN, WORKLOAD):
        assert evaluate((), STACK_RULES, [workload, SCALER, RANGE_BUDGET]) == []


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        ("spec.strategy.rollingUpdate.maxUnavailable", 1, "surge"),
        (f"{POD}.topologySpreadConstraints", MISSING, "spread"),
    ],
)
def test_a_deployment_that_leaves_its_replicas_open_is_held_to_the_rules_for_several(
    path: str, value: object, rule: str
):
    resource = changed("Deployment", ("spec.replicas", MISSING), (path, value))
    assert any(rule in v.rule for v in evaluate(RULES, (), [resource]))


def test_a_token_that_was_asked_for_may_be_mounted():
    annotation = ("spec.template.metadata.annotations", {"millrace.dev/api-token": "asked for"})
    resource = changed("Job", (f"{POD}.automountServiceAccountToken", True), annotation)
    assert evaluate(RULES, (), [resource]) == []


def test_a_finding_never_shows_the_value_of_a_variable():
    resource = changed("Job", (f"{CONTAINER}.env", [{"name": "API_TOKEN", "value": "hunter2"}]))
    assert all("hunter2" not in str(v) for v in evaluate(RULES, (), [resource]))


def test_resources_of_other_providers_concern_no_rule():
    other = Resource("random:index/randomPassword:RandomPassword", "p", {"length": 32})
    assert evaluate(RULES, STACK_RULES, [other]) == []
