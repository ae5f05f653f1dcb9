"""The records fit together, and each contradiction is named with the records that make it."""

import dataclasses
import importlib.util
from pathlib import Path

import pytest

from docs.reference.services import programs
from infra.model.records import RECORDS, RecordError, Records
from infra.model.servers import Server
from infra.model.services import (
    LIMIT_COMMANDS,
    SERVICES,
    DatabaseUse,
    Port,
    RedisUse,
    Service,
    Sidecar,
)
from services.contracts.topics import TELEMETRY_DEAD_LETTER
from services.shared.limits.settings import RateLimitSettings
from tests.harness.population import FRONT, SMALL, and_more, but_with

SERVICES_FOLDER = Path(__file__).resolve().parents[3] / "services"


def copied(**changes: bool) -> Records:
    """One more service, which writes to a database and reads its copies."""
    books = DatabaseUse("books", "ledger", owns_migrations=not changes)
    copies = DatabaseUse("books", "ledger", binding="books-readers", readers=True)
    copies = dataclasses.replace(copies, **changes)
    return and_more(
        Server("ledger", "mysql"), Service("reader", "reader", databases=(books, copies))
    )


def test_the_platforms_own_records_fit_together():
    RECORDS.check()


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_record_names_a_package_that_is_a_program(service: Service):
    assert importlib.util.find_spec(f"services.{service.package}.__main__")


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_who_holds_clients_to_a_rate_may_count_them_under_its_name(service: Service):
    if RateLimitSettings in programs()[f"services.{service.package}"]:
        [use] = (use for use in service.redis if use.server == "redis-cache")
        assert f"limit:{service.name}:*" in use.keys
        assert set(LIMIT_COMMANDS) <= set(use.commands)


@pytest.mark.parametrize("database", RECORDS.databases())
def test_a_database_has_revisions_in_the_package_that_owns_it(database: str):
    assert list((SERVICES_FOLDER / RECORDS.owner(database) / "migrations").glob("0001_*.py"))


def test_no_package_has_migrations_that_no_record_runs():
    packages = {found.parent.name for found in SERVICES_FOLDER.glob("*/migrations")}
    assert packages == {RECORDS.owner(database) for database in RECORDS.databases()}


@pytest.mark.parametrize(
    ("records", "match"),
    [
        (and_more(FRONT), "a service and a service are both called front"),
        (and_more(Service("postgres", "x")), "a server and a service are both called postgres"),
        (and_more(Service("default", "x")), "a service is called default"),
        (
            and_more(Service("admin", "x", ports=(Port("web", 8081, entry="http"),))),
            "front's port http and admin's port web both have the entry http",
        ),
        (
            but_with("relay", ports=(Port("http", 8080), Port("grpc", 8080))),
            "relay has two ports with the number 8080",
        ),
        (
            but_with("relay", ports=(Port("http", 8080), Port("http", 8081))),
            "relay has two ports with the name http",
        ),
        (
            but_with("relay", databases=(DatabaseUse("frontdb", owns_migrations=True),)),
            "front and relay both own the migrations of the database frontdb, "
            "from the packages front and relay",
        ),
        (
            but_with("front", databases=(DatabaseUse("frontdb"),)),
            r"frontdb \(front and relay\) is owned by no package",
        ),
        (
            and_more(
                Server("other", "postgres"),
                of=but_with("relay", databases=(DatabaseUse("frontdb", server="other"),)),
            ),
            "front and relay use the database frontdb on different servers",
        ),
        (
            but_with("worker", databases=(DatabaseUse("w", server="mysql", owns_migrations=True),)),
            "worker uses mysql, which is no postgres or mysql server; .* use one of: postgres",
        ),
        (
            but_with("worker", redis=(RedisUse("postgres", ("a",), ("get",)),)),
            "worker uses postgres, which is no redis server; .* use one of: redis-cache",
        ),
        (
            but_with("front", redis=(*FRONT.redis, *FRONT.redis)),
            "front has two bindings called redis",
        ),
        (
            but_with(
                "front",
                databases=(
                    *FRONT.databases,
                    DatabaseUse("seconddb", owns_migrations=True, binding="second"),
                ),
            ),
            "front owns the migrations of frontdb and seconddb",
        ),
        (
            but_with("relay", databases=(DatabaseUse("frontdb"), DatabaseUse("workerdb"))),
            "relay has two bindings called database",
        ),
        (but_with("relay", produces=("resource.craeted",)), "names the topic resource.craeted"),
        (
            but_with("worker", produces=()),
            "worker consumes, but .* read into events.dead-letter; add events.dead-letter to its",
        ),
        (
            but_with("worker", dead_letter=TELEMETRY_DEAD_LETTER),
            "worker consumes, but .* read into telemetry.dead-letter; add telemetry.dead-letter",
        ),
        (
            but_with("relay", databases=(DatabaseUse("frontdb", readers=True),)),
            "relay reads copies of frontdb, but postgres is no server that has any",
        ),
        (
            copied(owns_migrations=True),
            "reader reads copies of books and owns its migrations by the same use",
        ),
        (but_with("worker", calls=("fron",)), "worker calls fron, which is no service"),
        (
            but_with("front", sidecars=(Sidecar("proxy", image="envoy"),)),
            "front: sidecar proxy runs the image envoy, which the catalogue does not know",
        ),
        (but_with("relay", ports=()), "relay has no port"),
        (and_more(Server("kafka-2", "kafka")), "kafka and kafka-2 are both Kafka"),
        (and_more(Server("spare", "redis")), "no service uses the server spare"),
        (
            Records(SMALL.services, (SMALL.servers[0], SMALL.servers[2])),
            "relay has topics, but no server",
        ),
    ],
)
def test_a_contradiction_is_refused_with_the_names_of_those_that_make_it(
    records: Records, match: str
):
    with pytest.raises(RecordError, match=match):
        records.check()


def test_a_service_may_use_a_database_and_its_copies():
    copied().check()


def test_a_consumer_that_sets_nothing_aside_needs_no_topic_for_it():
    but_with("worker", produces=(), dead_letter=None).check()


def test_two_services_of_one_package_may_both_own_its_migrations():
    and_more(dataclasses.replace(FRONT, name="front-2", ports=(Port("http", 8080),))).check()


def test_all_contradictions_are_told_at_once():
    records = and_more(FRONT, Server("spare", "redis"))
    with pytest.raises(RecordError) as refused:
        records.check()
    assert len(str(refused.value).splitlines()) == 3
