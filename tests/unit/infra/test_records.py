"""The records fit together, and each contradiction is named with the records that make it."""

import dataclasses
import importlib.util
from pathlib import Path

import pytest

from infra.model.records import RECORDS, RecordError, Records
from infra.model.servers import SERVERS, Server
from infra.model.services import SERVICES, DatabaseUse, Port, RedisUse, Service, Sidecar

SERVICES_FOLDER = Path(__file__).resolve().parents[3] / "services"
REST, RELAY, WORKER = (
    next(service for service in SERVICES if service.name == name)
    for name in ("rest-service", "outbox-relay-rest", "event-worker")
)


def test_the_platforms_own_records_fit_together():
    RECORDS.check()


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_record_names_a_package_that_is_a_program(service: Service):
    assert importlib.util.find_spec(f"services.{service.package}.__main__")


@pytest.mark.parametrize("database", RECORDS.databases())
def test_a_database_has_revisions_in_the_package_that_owns_it(database: str):
    assert list((SERVICES_FOLDER / RECORDS.owner(database) / "migrations").glob("0001_*.py"))


def test_no_package_has_migrations_that_no_record_runs():
    packages = {found.parent.name for found in SERVICES_FOLDER.glob("*/migrations")}
    assert packages == {RECORDS.owner(database) for database in RECORDS.databases()}


def with_changes(service: Service, **changes: object) -> Records:
    """The platform's records, one of them changed."""
    changed = dataclasses.replace(service, **changes)  # pyright: ignore[reportArgumentType]
    return Records(services=tuple(changed if s is service else s for s in SERVICES))


def with_more(*more: Service | Server) -> Records:
    return Records(
        services=(*SERVICES, *(one for one in more if isinstance(one, Service))),
        servers=(*SERVERS, *(one for one in more if isinstance(one, Server))),
    )


@pytest.mark.parametrize(
    ("records", "match"),
    [
        (with_more(REST), "a service and a service are both called rest-service"),
        (with_more(Service("postgres", "x")), "a server and a service are both called postgres"),
        (with_more(Service("default", "x")), "a service is called default"),
        (
            with_more(Service("admin", "x", ports=(Port("web", 8081, entry="http"),))),
            "rest-service's port http and admin's port web both have the entry http",
        ),
        (
            with_changes(RELAY, ports=(Port("http", 8080), Port("grpc", 8080))),
            "outbox-relay-rest has two ports with the number 8080",
        ),
        (
            with_changes(RELAY, ports=(Port("http", 8080), Port("http", 8081))),
            "outbox-relay-rest has two ports with the name http",
        ),
        (
            with_changes(RELAY, database=DatabaseUse("restdb", owns_migrations=True)),
            "rest-service and outbox-relay-rest both own the migrations of the database restdb, "
            "from the packages rest_service and outbox_relay",
        ),
        (
            with_changes(REST, database=DatabaseUse("restdb")),
            r"restdb \(rest-service and outbox-relay-rest\) is owned by no package",
        ),
        (
            dataclasses.replace(
                with_changes(RELAY, database=DatabaseUse("restdb", server="other")),
                servers=(*SERVERS, Server("other", "postgres")),
            ),
            "rest-service and outbox-relay-rest use the database restdb on different servers",
        ),
        (
            with_changes(WORKER, database=DatabaseUse("w", server="mysql", owns_migrations=True)),
            "event-worker uses mysql, which is no postgres server; .* use one of: postgres",
        ),
        (
            with_changes(WORKER, redis=(RedisUse("postgres", ("a",), ("get",)),)),
            "event-worker uses postgres, which is no redis server; .* use one of: redis-cache",
        ),
        (
            with_changes(REST, redis=(*REST.redis, *REST.redis)),
            "rest-service has two Redis bindings called redis",
        ),
        (with_changes(RELAY, produces=("resource.craeted",)), "names the topic resource.craeted"),
        (
            with_changes(WORKER, produces=()),
            "event-worker consumes, but .* events.dead-letter; add DEAD_LETTER to its produces",
        ),
        (with_changes(WORKER, calls=("rest",)), "event-worker calls rest, which is no service"),
        (
            with_changes(REST, sidecars=(Sidecar("proxy", image="envoy"),)),
            "rest-service's sidecar proxy runs the image envoy, which the catalogue does not know",
        ),
        (with_changes(RELAY, ports=()), "outbox-relay-rest has no port"),
        (with_more(Server("kafka-2", "kafka")), "kafka and kafka-2 are both Kafka"),
        (with_more(Server("spare", "redis")), "no service uses the server spare"),
        (Records(servers=(SERVERS[0], SERVERS[2])), "outbox-relay-rest has topics, but no server"),
    ],
)
def test_a_contradiction_is_refused_with_the_names_of_those_that_make_it(
    records: Records, match: str
):
    with pytest.raises(RecordError, match=match):
        records.check()


def test_two_services_of_one_package_may_both_own_its_migrations():
    with_more(dataclasses.replace(REST, name="rest-2", ports=(Port("http", 8080),))).check()


def test_all_contradictions_are_told_at_once():
    records = Records(services=(*SERVICES, REST), servers=(*SERVERS, Server("spare", "redis")))
    with pytest.raises(RecordError) as refused:
        records.check()
    assert len(str(refused.value).splitlines()) == 3
