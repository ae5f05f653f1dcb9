"""Who may talk to whom, as far as the records say."""

import dataclasses

from components.monitoring import collector_config, exporters, jaeger
from components.servers.kafka import config as kafka
from components.servers.mysql import config as mysql
from components.servers.postgres import config as postgres
from components.servers.redis import config as redis
from components.workloads import load_generator
from infra.model import variables
from infra.model.edges import (
    ADMIN_PORT,
    AGENT_PORT,
    CLIENT_PORT,
    COLLECTOR,
    COLLECTOR_METRICS_PORTS,
    COLLECTOR_PORT,
    DNS,
    EVERYTHING,
    EXPORTER_PORT,
    GENERATOR,
    GENERATOR_PORT,
    JAEGER_METRICS_PORT,
    JAEGER_PORT,
    JAEGER_QUERY_PORT,
    KUBERNETES,
    MONITORING,
    OUTSIDE,
    PEER_PORTS,
    Edge,
    End,
    edges,
)
from infra.model.records import RECORDS, Records
from infra.model.servers import EXPORTERS
from infra.model.services import SERVICES, Port, Service
from tests.harness.composed import composed

NAMES = ("rest-service", "outbox-relay-rest", "event-worker")
REST, RELAY, WORKER = (End("service", name) for name in NAMES)
POSTGRES, KAFKA, CACHE = (End("server", name) for name in ("postgres", "kafka", "redis-cache"))


def between(source: End, target: End, records: Records = RECORDS) -> set[int]:
    return {e.port for e in edges(records) if (e.source, e.target) == (source, target)}


def with_rest(**changes: object) -> Records:
    """The records, with those changes of rest-service."""
    rest = next(service for service in SERVICES if service.name == REST.name)
    others = (service for service in SERVICES if service is not rest)
    changed = dataclasses.replace(rest, **changes)  # pyright: ignore[reportArgumentType]
    return Records(services=(changed, *others))


def test_a_service_reaches_the_servers_it_uses_and_no_other():
    assert between(REST, POSTGRES) == {5432}
    assert between(REST, CACHE) == {6379}
    assert between(REST, KAFKA) == set()
    assert between(RELAY, KAFKA) == between(WORKER, KAFKA) == {9092}
    assert between(WORKER, CACHE) == set()


def test_services_reach_each_other_only_as_far_as_they_call():
    services = {REST, RELAY, WORKER}
    assert not [e for e in edges(RECORDS) if {e.source, e.target} <= services]
    calling = with_rest(calls=("event-worker",))
    assert between(REST, WORKER, calling) == {8080}
    assert between(WORKER, REST, calling) == set()


def test_whoever_takes_tokens_reaches_the_keys_of_who_issues_them():
    [issuer] = [End("service", service.name) for service in SERVICES if service.issues_tokens]
    takers = {End("service", s.name) for s in SERVICES if variables.takes_tokens(s)}
    assert takers
    assert {taker for taker in takers if not between(taker, issuer)} == set()


def test_what_is_published_is_reached_from_outside_and_nothing_else():
    published = {s.name for s in SERVICES if any(port.entry for port in s.ports)}
    published |= {"prometheus", "grafana"}
    assert {e.target.name for e in edges(RECORDS) if e.source == OUTSIDE} == published
    two = with_rest(ports=(Port("http", 8080), Port("grpc", 9000, "grpc", entry="grpc")))
    assert between(OUTSIDE, REST, two) == {9000}


def test_each_service_is_scraped_where_it_speaks_http():
    scraped = {e.target for e in edges(RECORDS) if e.source == MONITORING}
    services = {end for end in scraped if end.kind == "service"}
    assert services == {End("service", service.name) for service in SERVICES}
    two = with_rest(ports=(Port("grpc", 9000, "grpc"), Port("http", 8080)))
    assert between(MONITORING, REST, two) == {8080}


def test_every_job_of_the_platform_has_exactly_the_edges_it_works_over():
    jobs = {e.source for e in edges(RECORDS) if e.source.kind == "job"}
    made = {job.name for job in composed("dev").of("Job") if not job.custom}
    assert {job.name for job in jobs} == made
    assert between(End("job", "kafka-provision"), KAFKA) == {9092, 9094}
    assert between(End("job", "redis-cache-provision"), CACHE) == {6379}
    assert between(End("job", "migrate-workerdb"), POSTGRES) == {5432}


def test_what_runs_by_the_clock_or_by_hand_has_exactly_the_edges_it_works_over():
    found = {e.source.name for e in edges(RECORDS) if e.source.kind == "operation"}
    platform = composed("airgap")
    made = {one.name for one in platform.of("CronJob")}
    assert found == made | {one.name for one in platform.of("Deployment") if "archiver" in one.name}
    assert between(End("operation", "postgres-archiver"), POSTGRES) == {5432}
    assert between(MONITORING, End("operation", "postgres-archiver")) == {8080}
    assert between(End("operation", "client-db-restore"), POSTGRES) == set()


def test_servers_are_asked_by_the_exporter_of_their_engine_and_by_no_other():
    exporter = End("monitoring", EXPORTERS["postgres"])
    assert between(exporter, POSTGRES) == {5432}
    assert between(exporter, CACHE) == set()
    assert between(MONITORING, exporter) == {exporters.POSTGRES_PORT}
    assert between(MONITORING, POSTGRES) == set()
    assert between(MONITORING, KAFKA) == {kafka.METRICS_PORT}, "its agent"


def test_everything_asks_for_names_both_ways():
    found = {e.protocol for e in edges(RECORDS) if (e.source, e.target) == (EVERYTHING, DNS)}
    assert found == {"TCP", "UDP"}


def test_the_kubernetes_api_is_reached_only_where_a_token_was_asked_for():
    asking = {e.source for e in edges(RECORDS) if e.target == KUBERNETES}
    assert asking == {MONITORING, COLLECTOR}
    found = composed("prod")
    assert {end.name for end in asking} == {
        one.name
        for kind in ("Deployment", "StatefulSet")
        for one in found.of(kind)
        if one.inputs["spec"]["template"]["spec"].get("automountServiceAccountToken")
    }
    assert between(REST, KUBERNETES, with_rest(api_token=True)) == {443}


def test_the_ports_are_those_that_the_servers_listen_on():
    assert CLIENT_PORT == {
        "postgres": postgres.PORT,
        "mysql": mysql.PORT,
        "kafka": kafka.CLIENT_PORT,
        "redis": redis.PORT,
    }
    assert ADMIN_PORT == {
        "postgres": postgres.PORT,
        "mysql": mysql.PORT,
        "kafka": kafka.INTERNAL_PORT,
        "redis": redis.PORT,
    }
    assert load_generator.MASTER_PORT == GENERATOR_PORT
    assert {"kafka": kafka.METRICS_PORT} == AGENT_PORT
    assert EXPORTER_PORT == {
        "postgres": exporters.POSTGRES_PORT,
        "mysql": exporters.MYSQL_PORT,
        "redis": exporters.REDIS_PORT,
    }
    assert COLLECTOR_PORT == collector_config.OTLP_PORT
    assert COLLECTOR_METRICS_PORTS == (collector_config.OWN_PORT, collector_config.METRICS_PORT)
    assert (JAEGER_PORT, JAEGER_METRICS_PORT) == (jaeger.OTLP_PORT, jaeger.ADMIN_PORT)
    assert jaeger.QUERY_PORT == JAEGER_QUERY_PORT
    assert PEER_PORTS == {
        "kafka": (kafka.CONTROLLER_PORT, kafka.INTERNAL_PORT),
        "mysql": (mysql.PORT,),
    }


def test_the_load_generator_reaches_what_is_published_and_itself_and_nothing_reaches_it_back():
    reached = {e.target for e in edges(RECORDS) if e.source == GENERATOR}
    published = {
        e.target for e in edges(RECORDS) if e.source == OUTSIDE and e.target.kind == "service"
    }
    assert reached == {*published, GENERATOR}
    assert {e.source for e in edges(RECORDS) if e.target == GENERATOR} == {GENERATOR}


def test_two_uses_of_one_server_are_one_edge():
    found = edges(RECORDS)
    assert len(found) == len(set(found))
    assert all(isinstance(edge, Edge) and edge.reason for edge in found)


def test_a_service_that_uses_nothing_reaches_nothing():
    lonely = Service("lonely", "lonely")
    found = edges(Records(services=(*SERVICES, lonely)))
    assert {e.target for e in found if e.source == End("service", "lonely")} == set()
