"""Each cross-field validator, with the failure it prevents and the way out it names."""

import dataclasses
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from components.servers.kafka import cluster as kafka
from components.workloads.scaling import Scale
from infra.model import budget, settings
from infra.model.records import Records
from infra.model.servers import Server
from infra.model.services import DatabaseUse, Port, Service
from infra.model.settings import (
    EntrySettings,
    ImageSettings,
    KafkaSettings,
    KubernetesSettings,
    PlatformSettings,
    PostgresSettings,
    RedisSettings,
    ReplicaRange,
    ResourceSettings,
    ServiceSettings,
    ServicesSettings,
)
from tests.harness.population import FRONT, SMALL, and_more, but_with

BASE: dict[str, Any] = {
    "kubernetes": {},
    "images": {"source": "official"},
    "kafka": {},
    "postgres": {},
    "redis": {},
    "servers": {},
    "services": {},
    "entry": {"ports": {"http": 30080}},
    "authentication": {},
    "backups": {},
    "rotation": {},
    "monitoring": {},
    "loadtest": {},
    "logs": {},
    "tracing": {},
    "proxysql": {},
    "protect": False,
}
OF_SMALL = {"records": SMALL}
"""What every document here is about, unless a test has its own."""


def refuse(
    model: type[BaseModel], document: dict[str, Any], match: str, context: Any = OF_SMALL
) -> None:
    with pytest.raises(ValidationError, match=match):
        model.model_validate(document, context=context)


def resources(memory: str = "1Gi", cpu: str = "1") -> dict[str, Any]:
    return {
        "requests": {"cpu": "100m", "memory": "64Mi"},
        "limits": {"cpu": cpu, "memory": memory},
    }


def all_models() -> list[type[settings.Settings]]:
    found: list[type[settings.Settings]] = []
    waiting = [settings.Settings]
    while waiting:
        model = waiting.pop()
        found.append(model)
        waiting += model.__subclasses__()
    return found


@pytest.mark.parametrize("model", all_models())
def test_every_model_is_frozen_and_refuses_unknown_keys(model: type[settings.Settings]):
    assert model.model_config.get("frozen") is True
    assert model.model_config.get("extra") == "forbid"
    assert model.model_config.get("strict") is True


def test_a_settings_object_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        KafkaSettings().brokers = 3


def test_a_limit_below_its_request_is_refused():
    document = {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"cpu": "1", "memory": "512Mi"},
    }
    refuse(ResourceSettings, document, r"limits.memory \(512Mi\) is below requests.memory \(1Gi\)")


@pytest.mark.parametrize("cpu", ["1Gi", "lots", "0", "-1", "1 core"])
def test_what_cannot_count_cores_is_refused(cpu: str):
    refuse(ResourceSettings, resources(cpu=cpu), "cores")


@pytest.mark.parametrize("memory", ["512", "1m", "many", "512MB"])
def test_what_cannot_count_bytes_is_refused(memory: str):
    refuse(ResourceSettings, resources(memory=memory), "512Mi")


@pytest.mark.parametrize(
    ("document", "match"),
    [
        ({"brokers": 2}, "brokers is 2: an even quorum"),
        ({"brokers": 3, "controllers": 2}, "set controllers to 1 or 3"),
        ({"replicationFactor": 2}, "lower it or add brokers"),
        (
            {"brokers": 3, "replicationFactor": 3, "minInsyncReplicas": 3},
            "no broker to restart",
        ),
        ({"heap": "1400Mi"}, "heap .* is more than 75% of limits.memory"),
        (
            {"brokers": 1, "controllers": 1, "controllerHeap": "700Mi"},
            "controllerHeap .* is more than 75%",
        ),
    ],
)
def test_a_kafka_cluster_that_could_not_work_is_refused(document: dict[str, Any], match: str):
    refuse(KafkaSettings, document, match)


def test_two_brokers_are_fine_with_dedicated_controllers():
    assert KafkaSettings.model_validate({"brokers": 2, "controllers": 3}).brokers == 2


def test_postgres_buffers_must_leave_room_in_the_memory_limit():
    document = {"sharedBuffers": "800Mi", "resources": resources("1Gi")}
    refuse(PostgresSettings, document, "sharedBuffers .* lower sharedBuffers or raise limits")


def test_redis_must_not_be_killed_before_it_evicts():
    refuse(RedisSettings, {"maxMemory": "1Gi", "resources": resources("1Gi")}, "maxMemory")


def test_what_a_stack_says_of_all_services_holds_where_one_says_nothing_else():
    small, large = resources("128Mi"), resources("512Mi")
    settings = ServicesSettings.model_validate(
        {
            "default": {"resources": small, "logLevel": "DEBUG"},
            "front": {"resources": large, "replicas": 3},
        },
        context=OF_SMALL,
    )
    front, worker = settings.of("front"), settings.of("worker")
    assert (front.replicas, front.log_level) == (3, "DEBUG")
    assert front.resources.limits.memory == "512Mi"
    assert (worker.replicas, worker.log_level) == (2, "DEBUG")
    assert worker.resources.limits.memory == "128Mi"


def test_a_service_that_does_not_exist_is_refused_with_the_one_that_was_meant():
    refuse(ServicesSettings, {"wroker": {}}, "did you mean 'worker'")


def two_entries(**entry: object) -> dict[str, object]:
    return {"ports": {"http": 443, "spare": 443}, "type": "LoadBalancer", "host": "a.test"} | entry


SPARE = {
    "records": and_more(Service("spare-service", "x", ports=(Port("http", 8080, entry="spare"),)))
}


def test_two_load_balancers_cannot_be_at_one_host():
    refuse(EntrySettings, two_entries(), "would both be at a.test.* in hosts", SPARE)
    hosts = {"hosts": {"spare": "b.test"}}
    made = EntrySettings.model_validate(two_entries(**hosts), context=SPARE)
    assert (made.host_of("http"), made.host_of("spare")) == ("a.test", "b.test")
    refuse(EntrySettings, two_entries(hosts={"spore": "b.test"}), "did you mean 'spare'", SPARE)


def test_an_override_of_an_image_that_does_not_exist_is_refused():
    refuse(ImageSettings, {"source": "official", "overrides": {"kafak": "a/b:1.2.3"}}, "'kafka'")


@pytest.mark.parametrize("reference", ["redis:latest", "redis:8", "redis", "re dis:1.2", "UP:1.2"])
def test_an_override_that_names_no_exact_image_is_refused(reference: str):
    document = {"source": "official", "overrides": {"redis": reference}}
    refuse(ImageSettings, document, "digest|image reference")


@pytest.mark.parametrize(
    ("document", "match"),
    [
        ({"ports": {"http": 80}}, "ports.http is 80, .* 30000 to 32767"),
        ({}, "ports\n  Field required"),
        ({"ports": {}}, "ports lacks http, which leads to a service"),
        ({"ports": {"http": 30080, "grcp": 30081}}, "no entry 'grcp'"),
        ({"ports": {"http": 30080}, "tls": True}, "nothing would end TLS"),
        ({"type": "LoadBalancer", "ports": {"http": 443}, "tls": True}, "annotations"),
        ({"host": "no spaces"}, "'no spaces' is not a DNS name; write it in lower case like"),
        ({"host": "a..b"}, "'a..b' is not a DNS name"),
        ({"host": f"{'a' * 64}.test"}, "each of 1 to 63 characters"),
        ({"host": ".".join(["a" * 50] * 6)}, "253 in all"),
        (
            {"type": "LoadBalancer", "ports": {"http": 443}},
            "host is not set, .* would lead to localhost",
        ),
    ],
)
def test_an_entry_that_could_not_work_is_refused(document: dict[str, Any], match: str):
    refuse(EntrySettings, document, match)


@pytest.mark.parametrize("host", ["10.0.0.1", f"{'a' * 63}.{'b' * 63}.test", "xn--mhle-0ra.test"])
def test_a_host_may_be_every_dns_name_and_address(host: str):
    document = {"host": host, "ports": {"http": 30080}}
    assert EntrySettings.model_validate(document, context=OF_SMALL).host == host


def test_a_name_that_kubernetes_or_pulumi_would_not_take_is_refused_with_one_that_they_would():
    refuse(KubernetesSettings, {"clusterIdentifier": "Prod"}, "'Prod' cannot be a name; write it")
    refuse(ImageSettings, {"source": "official", "pullSecrets": ("a_b",)}, "'a_b' is not a DNS")


WATCHED = {"receivers": {"on-call": {"pagerduty": {"secret": "key"}}}, "pages": ("on-call",)}


def test_protection_that_nobody_watches_is_refused():
    kept = {"context": "prod", "volumeRetention": "Retain"}
    refuse(PlatformSettings, BASE | {"protect": True, "kubernetes": kept}, "nobody would be told")


def test_protection_without_retained_volumes_is_refused():
    refuse(PlatformSettings, BASE | {"protect": True}, "their data not")


def test_protection_of_a_cluster_that_nothing_names_is_refused():
    kept = BASE | {"protect": True, "kubernetes": {"volumeRetention": "Retain"}}
    refuse(PlatformSettings, kept, "kubernetes.context is not set, .* whatever cluster")
    kept["kubernetes"]["context"] = "prod"
    kept["monitoring"] = WATCHED
    assert PlatformSettings.model_validate(kept, context=OF_SMALL).protect


@pytest.mark.parametrize("key", ["context", "storageClass"])
def test_an_empty_name_is_no_way_to_leave_it_out(key: str):
    refuse(KubernetesSettings, {key: ""}, "is empty, which names nothing; .* remove the key")


def test_more_pooled_connections_than_postgres_has_are_refused_with_the_number_needed():
    document = BASE | {"services": {"front": {"replicas": 20, "databasePoolSize": 20}}}
    # 40 pods in a rollout times 20; 4 times 10 for the worker, and for the relay, which listens on
    # another one, 4 times 11. For others: 3 superusers, 2 provisioning, 5 operators, 2 migrations.
    refuse(PlatformSettings, document, "884 connections .* operators 12, .* to 896")


def test_connections_outside_the_pool_count_in_the_budget():
    listening = Service("one", "one", databases=(DatabaseUse("db", extra_connections=3),))
    silent = Service("other", "other", databases=(DatabaseUse("db"),))
    size = ServiceSettings.model_validate({"replicas": 2})

    def of(service: Service) -> int:
        return budget.of_services(Records((service,)), "postgres", lambda _name: size)

    assert of(listening) - of(silent) == 3 * 2 * size.most_replicas


def test_each_database_of_a_service_counts_on_its_own_server_with_its_own_pool():
    both = Service(
        "one", "one", (DatabaseUse("a"), DatabaseUse("b", "second-db", binding="b", pool_size=3))
    )
    size = ServiceSettings.model_validate({"replicas": 2, "databasePoolSize": 7})

    def of(server: str) -> int:
        return budget.of_services(Records((both,)), server, lambda _name: size)

    assert (of("postgres"), of("second-db")) == (4 * 7, 4 * 3)


SECOND = and_more(
    Service("second", "second", (DatabaseUse("seconddb", server="second-db"),)),
    Server("second-db", "postgres"),
    Server("second-redis", "redis"),
)
OF_SECOND = {"records": SECOND}


def test_each_server_of_the_records_has_settings_of_its_own():
    servers = {
        "postgres": {"second-db": {"maxConnections": 77}},
        "redis": {"second-redis": {"maxMemory": "64Mi"}},
    }
    made = PlatformSettings.model_validate(BASE | {"servers": servers}, context=OF_SECOND)
    assert made.postgres_of("second-db").max_connections == 77
    assert made.postgres_of("postgres") is made.postgres
    assert made.redis_of("second-redis").max_memory == "64Mi"
    assert made.redis_of("redis-cache") is made.redis
    unlisted = PlatformSettings.model_validate(BASE, context=OF_SECOND)
    assert unlisted.postgres_of("second-db") == PostgresSettings()


@pytest.mark.parametrize(
    ("servers", "match"),
    [
        ({"postgres": {"second-bd": {}}}, "did you mean 'second-db'"),
        ({"postgres": {"second-redis": {}}}, "no postgres server 'second-redis'"),
        ({"postgres": {"postgres": {}}}, "a section of its own; write millrace:postgres"),
        ({"redis": {"redis-cache": {}}}, "a section of its own; write millrace:redis"),
    ],
)
def test_settings_of_a_server_that_is_none_of_the_records_are_refused(
    servers: dict[str, Any], match: str
):
    with pytest.raises(ValidationError, match=match):
        PlatformSettings.model_validate(BASE | {"servers": servers}, context=OF_SECOND)


def test_each_servers_connections_are_budgeted_by_themselves():
    servers = {"postgres": {"second-db": {"maxConnections": 50}}}
    with pytest.raises(ValidationError, match=r"40 connections .* servers.postgres.second-db.max"):
        PlatformSettings.model_validate(BASE | {"servers": servers}, context=OF_SECOND)


def test_the_budget_that_is_refused_by_one_connection_is_accepted_with_it():
    document = BASE | {"services": {"front": {"replicas": 3, "databasePoolSize": 20}}}
    needed = 6 * 20 + 4 * 10 + 4 * 11 + 12
    short, enough = ({"postgres": {"maxConnections": n}} for n in (needed - 1, needed))
    refuse(PlatformSettings, document | short, str(needed))
    PlatformSettings.model_validate(document | enough, context=OF_SMALL)


COPIED = and_more(
    Service(
        "clerk",
        "clerk",
        (
            DatabaseUse("books", "ledger", owns_migrations=True, pool_size=3),
            DatabaseUse("books", "ledger", binding="readers", readers=True, pool_size=10),
        ),
    ),
    Server("ledger", "mysql"),
)


@pytest.mark.parametrize(
    ("nodes", "match"),
    [
        # Beside the services: 2 provisioning, 5 operators, 1 migration; copies, and a new one.
        (1, r"52 connections \(twice .* to 60"),
        (2, r"40 connections to a copy \(twice .* to 50"),
        (3, r"40 connections to a copy \(twice .* to 51"),
    ],
)
def test_each_node_of_a_server_takes_what_is_led_to_it(nodes: int, match: str):
    def document(most: int) -> dict[str, Any]:
        ledger = {"replicas": nodes, "maxConnections": most}
        return BASE | {"servers": {"mysql": {"ledger": ledger}}}

    enough = {1: 60, 2: 50, 3: 51}[nodes]
    with pytest.raises(ValidationError, match=match):
        PlatformSettings.model_validate(document(enough - 1), context={"records": COPIED})
    PlatformSettings.model_validate(document(enough), context={"records": COPIED})


def test_the_source_takes_what_its_copies_do_not():
    [clerk] = [service for service in COPIED.services if service.name == "clerk"]
    source, copies = (dataclasses.replace(use, pool_size=7) for use in clerk.databases)
    source = dataclasses.replace(source, pool_size=30)
    turned = but_with("clerk", of=COPIED, databases=(source, copies))
    ledger = {"replicas": 2, "maxConnections": 50}
    with pytest.raises(ValidationError, match=r"120 connections to the source \(twice .* to 130"):
        PlatformSettings.model_validate(
            BASE | {"servers": {"mysql": {"ledger": ledger}}}, context={"records": turned}
        )


def test_settings_and_the_component_agree_on_the_smallest_cluster():
    defaults = KafkaSettings()
    fields = kafka.KafkaArgs.model_fields
    assert fields["replication_factor"].default == defaults.replication_factor
    assert fields["min_insync_replicas"].default == defaults.min_insync_replicas
    assert fields["retention_hours"].default == defaults.retention_hours


@pytest.mark.parametrize(
    ("replicas", "match"),
    [
        ({"min": 3, "max": 3}, "nothing would scale"),
        ({"min": 3}, "max"),
        ({"min": 1, "max": 2}, "a drain would stop the service; set min to 2"),
        ({"min": 2, "max": 3, "cpuPercent": 0}, "greater than or equal to 10"),
        ({"min": 2, "max": 3, "down": {"everySeconds": 1801}}, "less than or equal to 1800"),
        (0, "greater than or equal to 1"),
    ],
)
def test_replicas_that_are_neither_a_number_nor_a_range_are_refused(replicas: Any, match: str):
    refuse(ServiceSettings, {"replicas": replicas}, match)


def test_a_range_moves_in_settings_and_component_at_the_same_pace():
    settings, component = ReplicaRange(min=2, max=3), Scale(min=2, max=3)
    assert component.model_dump() == settings.model_dump()


def test_a_range_counts_in_the_budget_by_its_upper_end():
    wide = {"replicas": {"min": 2, "max": 20}, "databasePoolSize": 20}
    document = BASE | {"services": {"front": wide}}
    refuse(PlatformSettings, document, "884 connections")


GRPC = but_with("front", ports=(*FRONT.ports, Port("grpc", 9000, "grpc", entry="grpc")))


def test_a_second_entry_is_one_more_row_with_a_port_of_its_own():
    def entry(grpc: int) -> EntrySettings:
        ports = {"http": 30080, "grpc": grpc}
        return EntrySettings.model_validate({"ports": ports}, context={"records": GRPC})

    assert entry(30081).ports["grpc"] == 30081
    with pytest.raises(ValidationError, match=r"ports.http and ports.grpc are both 30080"):
        entry(30080)
