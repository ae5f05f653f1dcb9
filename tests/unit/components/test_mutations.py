"""Deliberate damage: each component loses something it must not, and the suite must notice.

A mutation is an edit of a function's source (or of a text it makes), applied for one build. The
edit must find what it replaces, so a mutation cannot quietly stop mutating; and the undamaged
component must pass the very check that is to fail.
"""

import importlib
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.harness import platforms
from tests.harness.checks import CHECKS
from tests.harness.recording import record


@dataclass(frozen=True)
class Mutation:
    """Replace `old` by `new` in `target` (`module:function` or `module:Class.method`)."""

    what: str
    shape: str
    target: str
    old: str
    new: str
    caught_by: str

    def __str__(self) -> str:
        return f"{self.shape} loses {self.what}"


def _everywhere(*rest: str, shapes: tuple[str, ...]) -> list[Mutation]:
    what, target, old, new, caught_by = rest
    return [Mutation(what, shape, target, old, new, caught_by) for shape in shapes]


SERVERS = ("Kafka", "Postgres", "Redis")
LONG_RUNNING = (*SERVERS, "Workload")
WITH_PODS = (*LONG_RUNNING, "Job", "LoadGenerator")
COMPONENTS = {
    "Namespaces": "security.namespaces:Namespaces",
    "CertificateAuthority": "security.pki:CertificateAuthority",
    "Certificate": "security.certificate:Certificate",
    "Password": "security.secrets:Password",
    "Kafka": "servers.kafka.cluster:Kafka",
    "Postgres": "servers.postgres.server:Postgres",
    "ProxySQL": "servers.proxysql.server:ProxySQL",
    "Redis": "servers.redis.server:Redis",
    "Workload": "workloads.workload:Workload",
    "Job": "workloads.jobs:Job",
    "LoadGenerator": "workloads.load_generator:LoadGenerator",
    "Exporter": "monitoring.exporter:Exporter",
    "Collector": "monitoring.collector:Collector",
    "Jaeger": "monitoring.jaeger:Jaeger",
}

MUTATIONS = [
    # register_outputs: never called, and called with a name too few.
    *(
        Mutation(
            "register_outputs",
            shape,
            f"{target}.__init__",
            "self.register_outputs(",
            "dict(",
            "outputs_registered",
        )
        for shape, target in COMPONENTS.items()
    ),
    *(
        Mutation(
            "an output",
            shape,
            f"{target}.__init__",
            "self.register_outputs(",
            "self.register_outputs({}) or dict(",
            "outputs_registered",
        )
        for shape, target in COMPONENTS.items()
    ),
    # Disruption budgets.
    *(
        Mutation("its budget", shape, target, old, "if False:", "budgeted")
        for shape, target, old in (
            ("Kafka of three", "kit.stateful:stateful_set", "if replicas > 1:"),
            ("Workload", "workloads.scaling:build", "elif replicas > 1:"),
        )
    ),
    *(
        Mutation("the budget's one", shape, target, old, new, "budgeted")
        for shape, target, old, new in (
            (
                "Kafka of three",
                "kit.stateful:stateful_set",
                "max_unavailable=1",
                "max_unavailable=0",
            ),
            (
                "Workload",
                "workloads.scaling:build",
                "min_available=wanted",
                "min_available=replicas",
            ),
            (
                "Workload in full",
                "workloads.scaling:build",
                "max_unavailable=1",
                "max_unavailable=0",
            ),
        )
    ),
    *(
        Mutation(
            "none for one",
            shape,
            "kit.stateful:stateful_set",
            "replicas > 1",
            "replicas > 0",
            "budgeted",
        )
        for shape in ("Kafka", "Postgres", "Redis")
    ),
    *(
        Mutation(
            "evictable broken pods",
            shape,
            "kit.placement:disruption_budget",
            'unhealthy_pod_eviction_policy="AlwaysAllow",',
            "",
            "budgeted",
        )
        for shape in ("Kafka of three", "Workload")
    ),
    # Probes.
    *(
        Mutation(
            f"{probe} probe",
            shape,
            "kit.containers:container",
            f"{probe}_probe=watch and watch.{probe},",
            "",
            "probed",
        )
        for shape in LONG_RUNNING
        for probe in ("startup", "readiness", "liveness")
    ),
    *(
        Mutation(
            "real readiness",
            shape,
            f"{target}",
            "readiness_command=(",
            "readiness_command=() and (",
            "probed",
        )
        for shape, target in (
            ("Kafka", "servers.kafka.cluster:Kafka._nodes"),
            ("Postgres", "servers.postgres.server:_spec"),
            ("Redis", "servers.redis.server:_spec"),
        )
    ),
    Mutation(
        "shallow liveness",
        "Workload",
        "workloads.workload:_pod",
        "liveness_path=args.liveness_path",
        "liveness_path=args.readiness_path",
        "probed",
    ),
    # Resources.
    *_everywhere(
        "limits",
        "kit.containers:requirements",
        "limits=",
        "claims=None and ",
        "limited",
        shapes=WITH_PODS,
    ),
    *_everywhere(
        "the memory limit",
        "kit.containers:requirements",
        '"memory": resources.memory_limit,',
        "",
        "limited",
        shapes=WITH_PODS,
    ),
    *_everywhere(
        "the size of /tmp",
        "kit.volumes:scratch",
        "size_limit=size,",
        "",
        "limited",
        shapes=("Kafka", "Postgres", "Redis", "Workload", "Job"),
    ),
    # TLS.
    *(
        Mutation(what, "MySQL with copies", target, old, new, "encrypted")
        for what, target, old, new in (
            (
                "TLS only",
                "servers.mysql.config:my_cnf",
                '"require_secure_transport": "ON"',
                '"require_secure_transport": "OFF"',
            ),
        )
    ),
    *(
        Mutation("the name of its readers", "MySQL with copies", target, old, new, "certified")
        for target, old, new in (
            (
                "servers.mysql.server:MySQL.__init__",
                "hosts += services.host_names(readers,",
                "services.host_names(readers,",
            ),
        )
    ),
    *(
        Mutation(
            f"TLS of {listener}",
            shape,
            "servers.kafka.config:server_properties",
            old,
            new,
            "encrypted",
        )
        for shape in ("Kafka",)
        for listener, old, new in (
            ("CLIENT", '"SASL_SSL"', '"SASL_PLAINTEXT"'),
            ("CONTROLLER", 'CONTROLLER_PORT, "SSL"', 'CONTROLLER_PORT, "PLAINTEXT"'),
            ("INTERNAL", 'INTERNAL_PORT, "SSL"', 'INTERNAL_PORT, "PLAINTEXT"'),
        )
    ),
    *(
        Mutation(what, "Kafka", "servers.kafka.config:_security", old, new, "encrypted")
        for what, old, new in (
            ("mutual TLS", '"ssl.client.auth": "required"', '"ssl.client.auth": "requested"'),
            ("host name checks", '"https"', '""'),
            ("deny by default", '"false"', '"true"'),
            ("its authorizer", "StandardAuthorizer", "Nobody"),
        )
    ),
    *(
        Mutation(what, "Postgres", f"servers.postgres.config:{target}", old, new, "encrypted")
        for what, target, old, new in (
            ("TLS", "postgresql_conf", '"ssl": "on"', '"ssl": "off"'),
            ("TLS only", "pg_hba_conf", "hostssl all", "host    all"),
            ("passwords", "pg_hba_conf", "scram-sha-256", "trust"),
        )
    ),
    *(
        Mutation(what, shape, "servers.redis.config:redis_conf", old, new, "encrypted")
        for shape in ("Redis",)
        for what, old, new in (
            ("TLS only", '"port 0"', '"port 6380"'),
            ("TLS", 'f"tls-port {PORT}",', ""),
            ("its users", 'f"aclfile {ACL_PATH}/users.acl",', ""),
        )
    ),
    *(
        Mutation(what, "ProxySQL", f"servers.proxysql.config:{target}", old, new, "encrypted")
        for what, target, old, new in (
            ("TLS of clients", "_variables", '"have_ssl": True', '"have_ssl": False'),
            ("TLS only of clients", "Routes._accounts", '"use_ssl": 1', '"use_ssl": 0'),
            ("TLS to its servers", "Routes._routes", '"use_ssl": 1', '"use_ssl": 0'),
            ("the CA of its servers", "_variables", '"ssl_p2s_ca": paths.CA_FILE,', ""),
            (
                "its closed door",
                "proxysql_cnf",
                'f"{RUN_PATH}/admin/admin.sock"',
                '"0.0.0.0:6032"',
            ),
        )
    ),
    *_everywhere(
        "its certificate",
        "servers.server:nodes",
        "Mount(files=tls, path=paths.TLS),",
        "",
        "encrypted",
        shapes=SERVERS,
    ),
    *(
        Mutation("the name in its certificate", shape, target, old, new, "certified")
        for shape, target, old, new in (
            ("Kafka", "servers.kafka.config:dns_names", 'f"*.{host}"', "host"),
            (
                "Kafka of three",
                "servers.kafka.config:dns_names",
                "for group in groups",
                "for group in ()",
            ),
        )
    ),
    *_everywhere(
        "the name in its certificate",
        "servers.server:serve",
        "services.host_names(name,",
        "services.host_names('db',",
        "certified",
        shapes=("Postgres", "Redis"),
    ),
    *(
        Mutation(
            "early renewal",
            shape,
            target,
            "early_renewal_hours=args.renew_before_days * 24,",
            "",
            "certified",
        )
        for shape, target in (
            ("CertificateAuthority", "security.pki:_generation"),
            ("Certificate", "security.certificate:Certificate.__init__"),
        )
    ),
    # Hardening.
    *_everywhere(
        "a read-only root",
        "kit.containers:security",
        "read_only_root_filesystem=True,",
        "",
        "policies_hold",
        shapes=WITH_PODS,
    ),
    *_everywhere(
        "dropped capabilities",
        "kit.containers:security",
        'capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"]),',
        "",
        "policies_hold",
        shapes=WITH_PODS,
    ),
    *_everywhere(
        "an account without token",
        "kit.pods:service_account",
        "automount_service_account_token=False,",
        "",
        "tokenless",
        shapes=(*WITH_PODS, "Namespaces"),
    ),
    *_everywhere(
        "pods without token",
        "kit.pods:pod",
        "automount_service_account_token=api_token,",
        "",
        "tokenless",
        shapes=WITH_PODS,
    ),
    Mutation(
        "no token that nobody asked for",
        "Workload",
        "workloads.workload:_pod",
        "api_token=args.api_token,",
        "api_token=True,",
        "tokenless",
    ),
    Mutation(
        "Pod Security",
        "Namespaces",
        "security.namespaces:_pod_security",
        '"restricted"',
        '"baseline"',
        "policies_hold",
    ),
    # Secrets.
    *(
        Mutation("a secret mark", shape, target, old, new, "secretive")
        for shape, target, old, new in (
            (
                "CertificateAuthority",
                "security.pki:CertificateAuthority.__init__",
                "pulumi.Output.secret(",
                "pulumi.Output.unsecret(",
            ),
            (
                "Password",
                "security.secrets:Password._generation",
                "pulumi.Output.secret(",
                "pulumi.Output.unsecret(",
            ),
        )
    ),
    Mutation(
        "its key",
        "Certificate",
        "security.certificate:Certificate.__init__",
        "data={",
        "data={} and {",
        "secretive",
    ),
    Mutation(
        "the secrecy of its password",
        "Password",
        "security.secrets:Password._secret",
        'objects.labels(name, "secrets")',
        'objects.labels(name, "x") | {"p": pulumi.Output.unsecret(self.value)}',
        "secretive",
    ),
    Mutation(
        "a secret",
        "Redis",
        "servers.redis.config:redis_conf",
        '"loglevel notice",',
        '"loglevel notice", "# -----BEGIN PRIVATE KEY-----",',
        "policies_hold",
    ),
    # Rollouts.
    *_everywhere(
        "its config hash",
        "kit.pods:template",
        "annotations={CONFIG_HASH: config_hash}",
        "annotations={}",
        "rolls",
        shapes=WITH_PODS,
    ),
    Mutation(
        "its drain",
        "Workload",
        "workloads.workload:_pod",
        "drain_seconds=args.drain_seconds,",
        "",
        "rolls",
    ),
    Mutation(
        "surge before stop",
        "Workload",
        "workloads.workload:Workload.__init__",
        "max_unavailable=0, max_surge=1",
        "max_unavailable=1, max_surge=0",
        "rolls",
    ),
    *_everywhere(
        "spread",
        "kit.placement:spread",
        "return [",
        "return [] and [",
        "rolls",
        shapes=LONG_RUNNING,
    ),
    # Volumes.
    *_everywhere(
        "its volume",
        "servers.server:_pod",
        "volumes=[data, *seen]",
        "volumes=[*seen]",
        "kept",
        shapes=("Kafka", "Postgres", "Redis as a store"),
    ),
    *_everywhere(
        "the fate of its claims",
        "kit.stateful:_retention",
        "if storage is None:",
        "if True:",
        "kept",
        shapes=("Kafka", "Postgres", "Redis as a store"),
    ),
    *_everywhere(
        "private secrets",
        "kit.volumes:files",
        "default_mode=0o440",
        "default_mode=0o444",
        "mounted",
        shapes=LONG_RUNNING,
    ),
    *_everywhere(
        "its parent",
        "servers.server:nodes",
        "pulumi.ResourceOptions(parent=parent)",
        "pulumi.ResourceOptions()",
        "parented",
        shapes=SERVERS,
    ),
    # What the API server refuses or an operator cannot find.
    Mutation(
        "its number of replicas",
        "Kafka",
        "kit.stateful:stateful_set",
        "replicas=replicas,",
        "replicas=f'{replicas} or so',",
        "valid",
    ),
    Mutation(
        "the second Service's name",
        "Workload in full",
        "workloads.ports:services",
        "objects.metadata(own,",
        "objects.metadata(name,",
        "singular",
    ),
    *_everywhere(
        "its labels", "kit.objects:labels", '"millrace"', '"mill"', "named", shapes=WITH_PODS
    ),
]


def mutated(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the target by an edited copy of itself."""
    module_name, _, path = mutation.target.partition(":")
    module = importlib.import_module(f"components.{module_name}")
    *owners, name = path.split(".")
    owner: Any = module
    for part in owners:
        owner = getattr(owner, part)
    original: Callable[..., Any] = getattr(owner, name)
    source = textwrap.dedent(inspect.getsource(original))
    assert mutation.old in source, f"{mutation.target} no longer contains {mutation.old!r}"
    # A copy outside of its class has no __class__ cell for a bare super().
    edited = source.replace(mutation.old, mutation.new).replace(
        "super()", f"super({name}_of, self)"
    )
    scope = dict(vars(module)) | {f"{name}_of": owner}
    exec(compile(edited, f"<{mutation}>", "exec"), scope)
    copy: Any = scope[name]
    monkeypatch.setattr(owner, name, copy)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_the_loss_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    check = CHECKS[mutation.caught_by]
    assert not list(check(platforms.recorded(mutation.shape))), "it fails undamaged"
    mutated(mutation, monkeypatch)
    damaged = record(platforms.PROGRAMS[mutation.shape])
    assert list(check(damaged)), f"{mutation.caught_by} did not notice"


def test_every_check_has_a_mutation_it_catches() -> None:
    assert {mutation.caught_by for mutation in MUTATIONS} == set(CHECKS)
