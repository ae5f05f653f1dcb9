"""The composed platform: every service gets what its record says, and nothing more."""

import base64
import json
from functools import cache
from typing import Any, get_args

import pytest

from infra.model import operations
from infra.model.objects import APPS, Kind
from infra.model.records import RECORDS, Records
from infra.model.servers import SERVERS, Server, dashed, readers
from infra.model.services import (
    CACHE_COMMANDS,
    HTTP,
    SERVICES,
    DatabaseUse,
    Port,
    RedisUse,
    Service,
    Sidecar,
)
from infra.model.settings import PlatformSettings
from infra.stack.diff import load_stack
from policies.rule import evaluate
from policies.rules import RULES, STACK_RULES
from services.contracts.topics import TASK_PROCESS, TOPICS
from tests.harness.checks import singular
from tests.harness.composed import STACKS, compose, composed
from tests.harness.recording import Recording, Registered
from tests.policy.adapter import resources


def container(resource: Registered) -> dict[str, Any]:
    return resource.manifest["spec"]["template"]["spec"]["containers"][0]


def env_of(recording: Recording, service: str) -> dict[str, Any]:
    rows = container(recording.one("Deployment", service))["env"]
    return {row["name"]: row.get("value", row.get("valueFrom")) for row in rows}


def secrets_of(recording: Recording, service: str) -> dict[str, str]:
    pod = recording.one("Deployment", service).manifest["spec"]["template"]["spec"]
    named = {v["name"]: v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
    mounts = container(recording.one("Deployment", service))["volumeMounts"]
    return {named[m["name"]]: m["mountPath"] for m in mounts if m["name"] in named}


def job(recording: Recording, name: str) -> Registered:
    """The Kubernetes Job, not the component of the same name."""
    return next(j for j in recording.of("Job") if j.name == name and j.custom)


def spec_of(recording: Recording, job: str) -> dict[str, Any]:
    return json.loads(
        recording.one("ConfigMap", f"{job}-provision-spec").inputs["data"]["spec.json"]
    )


@pytest.mark.parametrize("stack", STACKS)
def test_every_record_becomes_a_deployment_with_its_command(stack: str):
    recording = composed(stack)
    made = {
        d.name for d in recording.of("Deployment") if d.manifest["metadata"]["namespace"] == APPS
    }
    assert made == set(RECORDS.service_names)
    for service in SERVICES:
        found = container(recording.one("Deployment", service.name))
        assert found["command"] == ["python", "-m", f"services.{service.package}"]


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_goes_through_the_one_provider_and_belongs_to_the_platform(stack: str):
    recording = composed(stack)
    by_urn = {r.urn: r for r in recording.resources}
    platform = recording.one("Platform", "millrace")
    for found in recording.kubernetes():
        assert found.provider.split("::")[-2] == "kubernetes", found.urn
        ancestor = found
        while ancestor.parent in by_urn:
            ancestor = by_urn[ancestor.parent]
        assert ancestor is platform, found.urn


def test_the_provider_survives_a_new_kubeconfig_and_updates_configuration_in_place():
    provider = composed("airgap").one("kubernetes", "kubernetes")
    assert provider.inputs["clusterIdentifier"] == "test"
    for key in ("enableConfigMapMutable", "enableSecretMutable", "enableServerSideApply"):
        assert provider.inputs[key] == "true", key
    # A kubeconfig holds credentials and must not enter the state.
    assert "apiVersion" not in str(provider.inputs.get("kubeconfig"))


def test_a_stack_that_names_its_cluster_does_not_take_the_machines():
    inputs = composed("prod").one("kubernetes", "kubernetes").inputs
    assert inputs["clusterIdentifier"] == "millrace-prod"
    assert inputs["context"] == "millrace-prod"


def test_rest_service_reaches_its_databases_and_the_cache_and_no_kafka():
    env = env_of(composed("airgap"), "rest-service")
    assert env["DATABASE_HOST"] == "postgres.data.svc"
    assert (env["DATABASE_NAME"], env["DATABASE_USER"]) == ("restdb", "restdb")
    assert (env["DATA_STORE_HOST"], env["DATA_STORE_NAME"]) == ("data-store.data.svc", "datadb")
    assert env["REDIS_HOST"] == "redis-cache.data.svc"
    assert not [name for name in env if name.startswith("KAFKA_")]
    assert secrets_of(composed("airgap"), "rest-service") == {
        "postgres-restdb": "/etc/millrace/secrets/database",
        "data-store-datadb": "/etc/millrace/secrets/data-store",
        "redis-rest-service": "/etc/millrace/secrets/redis",
    }


def test_reads_of_points_go_to_the_copies_where_the_stack_has_some():
    env = env_of(composed("airgap"), "ingest-service")
    assert env["TELEMETRY_HOST"] == "telemetry-database.data.svc"
    assert env["TELEMETRY_READERS_HOST"] == "telemetry-database-readers.data.svc"
    assert env["TELEMETRY_READERS_USER"] == env["TELEMETRY_USER"] == "telemetry_user"
    for writer in ("async-writer", "cpu-writer"):
        env = env_of(composed("airgap"), writer)
        assert env["DATABASE_HOST"] == "telemetry-database.data.svc"
    settings = load_stack("airgap")
    alone = settings.mysql_of("telemetry-database").model_copy(update={"replicas": 1})
    mysql = {**settings.servers.mysql, "telemetry-database": alone}
    servers = settings.servers.model_copy(update={"mysql": mysql})
    recording, _ = compose(settings.model_copy(update={"servers": servers}))
    env = env_of(recording, "ingest-service")
    assert env["TELEMETRY_READERS_HOST"] == "telemetry-database.data.svc"
    assert not [s.name for s in recording.of("StatefulSet") if "readers" in s.name]


def test_who_reads_copies_waits_for_them_and_for_the_migration():
    recording = composed("airgap")
    waits = recording.one("Deployment", "ingest-service").dependencies
    assert recording.one("StatefulSet", readers("telemetry-database")).urn in waits
    assert job(recording, "migrate-telemetry").urn in waits


def test_each_consumer_is_told_its_own_topic_for_what_it_sets_aside():
    env = env_of(composed("airgap"), "async-writer")
    assert env["KAFKA_DEAD_LETTER_TOPIC"] == "telemetry.dead-letter"
    assert env["KAFKA_TOPICS"] == "telemetry.points"
    env = env_of(composed("airgap"), "cpu-writer")
    assert env["KAFKA_GROUP_ID"] == "cpu-writer"
    assert "KAFKA_DEAD_LETTER_TOPIC" not in env


@pytest.mark.parametrize("stack", STACKS)
def test_a_drain_or_a_rollout_leaves_two_of_three_async_writers(stack: str):
    recording = composed(stack)
    spec = recording.one("Deployment", "async-writer").inputs["spec"]
    assert spec["replicas"] == 3
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    budget = recording.one("PodDisruptionBudget", "async-writer").inputs["spec"]
    assert budget["minAvailable"] == 2


def test_the_relay_knows_its_pod_and_publishes_as_itself():
    env = env_of(composed("airgap"), "outbox-relay-rest")
    assert env["KAFKA_USERNAME"] == "outbox-relay-rest"
    assert env["KAFKA_BOOTSTRAP_SERVERS"] == "kafka.data.svc:9092"
    assert env["RELAY_ID"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert "KAFKA_TOPICS" not in env


def test_the_worker_joins_its_group_under_its_pods_name_and_reads_every_event():
    env = env_of(composed("airgap"), "event-worker")
    assert env["DATABASE_NAME"] == "workerdb"
    assert env["KAFKA_GROUP_ID"] == "event-worker"
    assert env["KAFKA_GROUP_INSTANCE_ID"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert env["KAFKA_DEAD_LETTER_TOPIC"] == "events.dead-letter"
    assert "KAFKA_LEAVE_ON_STOP" not in env, "a roll-out's pods have new names"
    assert env["KAFKA_TOPICS"].split(",") == [
        "resource.created",
        "resource.updated",
        "resource.deleted",
        "task.process",
        "task.completed",
        "task.failed",
    ]


@pytest.mark.parametrize("stack", ["airgap", "prod"])
def test_the_worker_knows_how_long_the_topics_keep_what_it_must_recognise(stack: str):
    platform = composed(stack)
    for topic in spec_of(platform, "kafka")["topics"]:
        kept = int(topic["config"]["retention.ms"])
        hours = int(env_of(platform, "event-worker")["KAFKA_RETENTION_HOURS"])
        assert kept == hours * 3_600_000, topic["name"]


def test_kafka_accounts_may_do_what_the_records_say_and_nothing_else():
    users = {user["name"]: user for user in spec_of(composed("prod"), "kafka")["users"]}
    assert set(users) == {service.name for service in SERVICES if service.uses_kafka}
    relay, worker = users["outbox-relay-rest"], users["event-worker"]
    resource_topics = ["resource.created", "resource.updated", "resource.deleted"]
    assert (relay["produce"], relay["consume"], relay["groups"]) == (resource_topics, [], [])
    assert worker["produce"] == ["events.dead-letter"]
    assert worker["groups"] == ["event-worker"]


@pytest.mark.parametrize(
    ("stack", "partitions", "factor", "minimum"), [("airgap", 6, 1, "1"), ("prod", 12, 3, "2")]
)
def test_topics_have_the_stacks_partitions_and_durability(
    stack: str, partitions: int, factor: int, minimum: str
):
    topics = spec_of(composed(stack), "kafka")["topics"]
    assert {topic["name"] for topic in topics} == set(TOPICS)
    for topic in topics:
        assert topic["partitions"] == partitions
        assert topic["replication_factor"] == factor
        assert topic["config"]["min.insync.replicas"] == minimum


def test_each_database_has_a_role_whose_password_only_its_job_and_its_services_mount():
    recording = composed("airgap")
    wanted = spec_of(recording, "postgres")["databases"]
    assert [row["name"] for row in wanted] == list(RECORDS.databases(server="postgres"))
    assert all(row["role"] == row["name"] for row in wanted)
    assert "postgres-workerdb" not in secrets_of(recording, "rest-service")
    assert "postgres-restdb" not in secrets_of(recording, "event-worker")


def test_specifications_of_jobs_hold_no_password():
    recording = composed("airgap")
    passwords = {
        base64.b64decode(r.inputs["data"]["password"]).decode()
        for r in recording.of("Secret")
        if "password" in r.inputs["data"]
    }
    texts = [str(r.inputs["data"]) for r in recording.of("ConfigMap")]
    assert passwords
    assert not [p for p in passwords for text in texts if p in text]


def test_migrations_wait_for_the_role_and_services_wait_for_their_migration():
    recording = composed("airgap")
    with_database = [(s, use) for s in SERVICES for use in s.databases]
    assert with_database
    for service, use in with_database:
        provisioned = job(recording, f"{use.server}-provision").urn
        migration = job(recording, f"migrate-{dashed(use.name)}")
        assert provisioned in migration.dependencies
        assert migration.urn in recording.one("Deployment", service.name).dependencies


@pytest.mark.parametrize("database", RECORDS.databases())
def test_a_migration_is_told_whose_revisions_it_runs_on_which_engine(database: str):
    said = container(job(composed("airgap"), f"migrate-{dashed(database)}"))["command"][2:]
    assert said[:2] == ["services.migrate", database]
    server = operations.server_of(RECORDS, database)
    assert server is not None
    assert said[2:] == ["--package", RECORDS.owner(database), "--engine", server.engine]


def test_publishers_wait_for_their_topics_and_accounts():
    recording = composed("airgap")
    provisioned = job(recording, "kafka-provision").urn
    for service in SERVICES:
        waits = provisioned in recording.one("Deployment", service.name).dependencies
        assert waits == service.uses_kafka, service.name


@pytest.mark.parametrize("stack", STACKS)
def test_no_two_objects_have_one_name(stack: str):
    assert not list(singular(composed(stack)))


def made(recording: Recording, kind: str) -> set[tuple[str, str]]:
    """Namespace and name of every object of that kind whose name follows from a record."""
    if kind == "Password":
        # Redis' own can be replaced, too; MySQL's own are its business.
        makers = (recording.one("Platform", "millrace"), *recording.of("Redis"))
        parents = {maker.urn for maker in makers}
        return {("", r.name) for r in recording.of(kind) if r.parent in parents}
    metadata = (r.inputs["metadata"] for r in recording.of(kind) if not r.type.startswith("mill"))
    found = {(m["namespace"], m["name"]) for m in metadata}
    return {place for place in found if place[1] not in ("default", "millrace-ca")}


@pytest.mark.parametrize("kind", get_args(Kind))
def test_the_records_know_the_name_of_every_object_that_is_made_for_them(kind: str):
    # Here with dedicated controllers, which the records reckon with.
    known = {(one.namespace, one.name) for one in RECORDS.objects() if one.kind == kind}
    assert made(composed("prod"), kind) == known
    known = {(one.namespace, one.name) for one in MORE.objects() if one.kind == kind}
    # It has none of what only some stacks have.
    of_some = (
        "-controller",
        "-replication",
        "-readers",
        "-proxy",
        "-monitor",
        "grafana",
        "loki",
        "log-",
    )
    others = {place for place in known if any(what in place[1] for what in of_some)}
    assert made(larger(), kind) - others == known - others


def test_what_a_record_says_is_kept_has_a_volume_and_evicts_nothing():
    found = composed("airgap")
    for server in RECORDS.servers:
        [stateful] = [r for r in found.of("StatefulSet") if r.name == server.name]
        assert bool(stateful.inputs["spec"].get("volumeClaimTemplates")) == server.kept
        if server.engine == "redis":
            [texts] = [r for r in found.of("ConfigMap") if r.name == f"{server.name}-config"]
            conf = texts.inputs["data"]["redis.conf"]
            assert ("maxmemory-policy noeviction" in conf) == server.kept
            assert ("appendfsync always" in conf) == server.kept


def test_only_what_holds_data_is_protected_and_only_where_the_stack_says_so():
    protected = {r.name for r in composed("prod").resources if r.protect}
    groups = {"kafka-controller", *(readers(s.name) for s in SERVERS if s.engine == "mysql")}
    watching = {"prometheus", "alertmanager", "loki"}
    assert {*groups, *watching, *(s.name for s in SERVERS if s.kept)} == protected
    assert all(r.kind == "StatefulSet" for r in composed("prod").resources if r.protect)
    assert not [r for r in composed("airgap").resources if r.protect]


def test_the_services_image_is_built_once_and_every_pod_runs_its_digest():
    recording = composed("airgap")
    image = recording.one("Image", "services")
    assert image.inputs["push"] is True
    assert set(image.inputs["buildArgs"]) == {"BUILD_IMAGE", "RUNTIME_IMAGE"}
    tag = image.inputs["tags"][0]
    assert tag.startswith("localhost:30500/millrace/services:src-")
    for name in RECORDS.service_names:
        found = container(recording.one("Deployment", name))["image"]
        assert found.startswith(f"{tag}@sha256:")


def test_production_builds_nothing_and_runs_the_promoted_digest():
    recording = composed("prod")
    assert recording.of("Image") == []
    for name in RECORDS.service_names:
        found = container(recording.one("Deployment", name))["image"]
        assert found.startswith("registry.example.com/millrace/services@sha256:")


def test_only_the_published_service_is_reachable_from_outside():
    for stack, kind in (("airgap", "NodePort"), ("dev", "NodePort"), ("prod", "LoadBalancer")):
        specs = {s.name: s.inputs["spec"] for s in composed(stack).of("Service")}
        outside = {n for n, spec in specs.items() if spec.get("type") not in (None, "ClusterIP")}
        watching = {"airgap": {"prometheus"}, "dev": {"prometheus", "grafana"}, "prod": set[str]()}
        published = {s.name for s in SERVICES if any(port.entry for port in s.ports)}
        assert outside == published | watching[stack]
        assert specs["rest-service"]["type"] == kind
    assert composed("airgap").one("Service", "rest-service").inputs["spec"]["ports"][0][
        "nodePort"
    ] == (30080)


def test_the_platform_registers_its_outputs():
    platform = composed("airgap").one("Platform", "millrace")
    assert platform.outputs is not None
    assert platform.outputs["endpoints"]["rest-service"] == "http://localhost:30080"
    assert platform.outputs["endpoints"]["prometheus"] == "https://localhost:30090"
    assert platform.outputs["namespaces"] == {name: name for name in ("apps", "data", "monitoring")}
    assert platform.outputs["ca_certificate"].startswith("-----BEGIN CERTIFICATE-----")
    assert "resource.created" in platform.outputs["topics"]
    assert not platform.secret_outputs


SPARE = Service(
    name="spare-service",
    package="rest_service",
    databases=(
        DatabaseUse("sparedb", server="spare-db", owns_migrations=True),
        DatabaseUse("datadb", server="data-store", binding="data-store", pool_size=3),
    ),
    redis=(
        RedisUse("redis-cache", keys=("spare:*",), commands=CACHE_COMMANDS),
        RedisUse("spare-redis", ("spare",), ("xadd",), binding="spare-redis"),
    ),
    produces=(TASK_PROCESS,),
    ports=(HTTP, Port("grpc", 9000, protocol="grpc", entry="spare")),
    sidecars=(Sidecar("helper", image="services", command=("true",)),),
    api_token=True,
)
MORE = Records(
    services=(*SERVICES, SPARE),
    servers=(*SERVERS, Server("spare-db", "postgres"), Server("spare-redis", "redis")),
)


@cache
def larger() -> Recording:
    # What is unsaid stays unsaid: a service's own default would hide that of all services.
    document = load_stack("airgap").model_dump(by_alias=True, exclude_unset=True)
    servers = document["servers"]
    servers.setdefault("postgres", {})["spare-db"] = {"maxConnections": 77}
    servers.setdefault("redis", {})["spare-redis"] = {"maxMemory": "99Mi"}
    document["entry"]["ports"]["spare"] = 32700
    document["services"]["spare-service"] = {"replicas": {"min": 2, "max": 3}}
    return compose(PlatformSettings.model_validate(document, context={"records": MORE}), MORE)[0]


def test_one_record_more_gets_all_that_it_asks_for_and_changes_nothing_else():
    recording = larger()
    env = env_of(recording, "spare-service")
    assert (env["DATABASE_NAME"], env["DATABASE_POOL_SIZE"]) == ("sparedb", "10")
    assert (env["DATA_STORE_NAME"], env["DATA_STORE_POOL_SIZE"]) == ("datadb", "3")
    assert env["DATA_STORE_PASSWORD_FILE"] == "/etc/millrace/secrets/data-store/password"
    assert env["KAFKA_USERNAME"] == env["REDIS_USERNAME"] == "spare-service"
    assert recording.one("PodDisruptionBudget", "spare-service")
    for name in RECORDS.service_names:
        before = composed("airgap").one("Deployment", name).manifest
        assert recording.one("Deployment", name).manifest == before


def test_a_second_server_of_an_engine_has_its_own_size_account_and_jobs():
    recording = larger()
    copies = {readers("telemetry-database")}
    own = {
        r.name for r in recording.of("StatefulSet") if r.inputs["metadata"]["namespace"] == "data"
    }
    assert own == copies | {s.name for s in MORE.servers}
    conf = recording.one("ConfigMap", "spare-db-config").inputs["data"]["postgresql.conf"]
    assert "max_connections = 77" in conf
    assert "maxmemory 103809024" in str(recording.one("ConfigMap", "spare-redis-config").inputs)
    assert [row["name"] for row in spec_of(recording, "spare-db")["databases"]] == ["sparedb"]
    assert "sparedb" not in str(spec_of(recording, "postgres"))
    assert container(job(recording, "spare-db-provision"))["command"][3] == "postgres"
    provisioned = job(recording, "spare-db-provision").urn
    assert provisioned in job(recording, "migrate-sparedb").dependencies
    assert provisioned not in job(recording, "migrate-restdb").dependencies


def test_a_service_tells_two_servers_of_one_engine_apart():
    env = env_of(larger(), "spare-service")
    assert env["DATABASE_HOST"] == "spare-db.data.svc"
    assert env["DATA_STORE_HOST"] == "data-store.data.svc"
    assert env["REDIS_HOST"] == "redis-cache.data.svc"
    assert env["SPARE_REDIS_HOST"] == "spare-redis.data.svc"
    assert secrets_of(larger(), "spare-service") == {
        "spare-db-sparedb": "/etc/millrace/secrets/database",
        "data-store-datadb": "/etc/millrace/secrets/data-store",
        "kafka-spare-service": "/etc/millrace/secrets/kafka",
        "redis-spare-service": "/etc/millrace/secrets/redis",
        "spare-redis-spare-service": "/etc/millrace/secrets/spare-redis",
    }


def test_a_record_may_ask_for_a_second_entry_a_sidecar_a_token_and_a_range():
    recording = larger()
    pod = recording.one("Deployment", "spare-service").manifest["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["image"] == pod["containers"][0]["image"]
    assert pod["automountServiceAccountToken"] is True
    assert recording.one("HorizontalPodAutoscaler", "spare-service")
    published = recording.one("Service", "spare-service").inputs["spec"]["ports"]
    assert [(port["name"], port["nodePort"]) for port in published] == [("grpc", 32700)]
    assert recording.one("Service", "spare-service-internal")
    outputs = recording.one("Platform", "millrace").outputs
    assert outputs is not None
    assert outputs["endpoints"]["spare-service/grpc"] == "localhost:32700"


def test_the_larger_platform_passes_every_rule():
    found = evaluate(RULES, STACK_RULES, resources(larger()))
    assert not found, "\n".join(map(str, found))
    assert not list(singular(larger()))


def test_every_pod_opens_its_registry_with_the_secrets_the_stack_names():
    settings = load_stack("prod")
    images = settings.images.model_copy(update={"pull_secrets": ("registry-login",)})
    recording, _ = compose(settings.model_copy(update={"images": images}))
    owners = [r for kind in ("Deployment", "StatefulSet", "Job") for r in recording.of(kind)]
    pods = {r.name: r.manifest["spec"]["template"]["spec"] for r in owners if r.custom}
    servers = {server.name for server in SERVERS}
    migrations = {f"migrate-{dashed(name)}" for name in RECORDS.databases()}
    assert {*servers, *RECORDS.service_names, *migrations} <= set(pods)
    for name, pod in pods.items():
        assert pod["imagePullSecrets"] == [{"name": "registry-login"}], name
    for resource in composed("prod").of("Deployment"):
        assert "imagePullSecrets" not in resource.manifest["spec"]["template"]["spec"]


def objects(recording: Recording, kind: str) -> dict[str, str]:
    found = (r.manifest["metadata"]["name"] for r in recording.of(kind) if r.custom)
    return {name.rpartition("-")[0]: name for name in found}


@pytest.mark.parametrize(
    ("server", "again"),
    [
        (
            "postgres",
            {"postgres-provision", *(f"migrate-{n}" for n in RECORDS.databases(server="postgres"))},
        ),
        ("kafka", {"kafka-provision"}),
    ],
)
def test_a_server_whose_volume_was_lost_is_provisioned_again_and_nothing_else_changes(
    server: str, again: set[str]
):
    settings = load_stack("airgap")
    section = getattr(settings, server).model_copy(update={"incarnation": 2})
    recording, _ = compose(settings.model_copy(update={server: section}))
    before, after = objects(composed("airgap"), "Job"), objects(recording, "Job")
    assert {name for name in after if after[name] != before[name]} == again
    for kind in ("StatefulSet", "Deployment"):
        for found in recording.of(kind):
            old = composed("airgap").one(kind, found.name).manifest["spec"]["template"]["metadata"]
            assert found.manifest["spec"]["template"]["metadata"] == old, found.name
