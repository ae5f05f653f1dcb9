"""What a component or a server would refuse of one record is refused before anything is made."""

import pytest

from components.kit.rules import OWN_ACCOUNTS
from components.servers.kafka import config as kafka
from components.servers.redis import config as redis
from infra.model.records import RecordError, Records
from infra.model.servers import EXPORTER_USER, Server
from infra.model.services import HTTP, DatabaseUse, Port, RedisUse, Service, Sidecar
from services.contracts.topics import TASK_PROCESS
from tests.harness.population import SMALL, and_more, but_with


def using(*keys: str, commands: tuple[str, ...] = ("get",), binding: str = "redis") -> Records:
    return but_with("worker", redis=(RedisUse("redis-cache", keys, commands, binding),))


def storing(name: str) -> Records:
    return but_with("worker", databases=(DatabaseUse(name, owns_migrations=True),))


def listening(*ports: Port) -> Records:
    return but_with("relay", ports=ports)


def helped(
    name: str = "helper",
    cpu: tuple[str, str] = ("50m", "1"),
    memory: tuple[str, str] = ("64Mi", "64Mi"),
) -> Records:
    sidecar = Sidecar(name, image="services", cpu=cpu, memory=memory)
    return but_with("relay", sidecars=(sidecar,))


REFUSED: dict[str, tuple[Records, str]] = {
    "a service's name with _": (
        and_more(Service("front_end", "x")),
        "the service front_end: name 'front_end' is not a DNS label, .*; use lower-case letters",
    ),
    "a service's long name": (
        and_more(Service("a" * 53, "x")),
        "name 'a{53}' has 53 characters, .*; shorten it to 52",
    ),
    "a server's long name, which its Jobs make longer": (
        and_more(Server("a" * 42, "redis")),
        "the server a{42}: name .* shorten it to 41",
    ),
    "a server's name in capitals": (and_more(Server("Spare", "redis")), "'Spare' is not a DNS"),
    "a database's name that ends in _": (
        storing("worker_"),
        "worker: its database cannot be called 'worker_'; use at most 26 lower-case letters",
    ),
    "a database's name with two _": (storing("worker__db"), "cannot be called 'worker__db'"),
    "a database of MySQL's own": (storing("information_schema"), "'information_schema'"),
    "a database's name with -": (storing("worker-db"), "cannot be called 'worker-db'"),
    "a database's name in capitals": (storing("workerDB"), "cannot be called 'workerDB'"),
    "a database called as another's second role": (
        storing("restdb_b"),
        "cannot be called 'restdb_b'; .*ends in _b, _owner, _restoring, _user",
    ),
    "a database called as who takes backups": (
        storing("backup_user"),
        "cannot be called 'backup_user'",
    ),
    "a database that begins with a digit": (storing("1db"), "cannot be called '1db'"),
    "the administrator's database": (storing("postgres"), "'postgres'; .* none of admin, "),
    "a database whose Secret is the administrator's": (storing("admin"), "called 'admin'"),
    "the database that others are copies of": (storing("template1"), "called 'template1'"),
    "a database's long name": (storing("a" * 27), "cannot be called 'a{27}'; use at most 26"),
    "a database binding's name in capitals": (
        but_with("relay", databases=(DatabaseUse("frontdb", binding="Front"),)),
        "the service relay: database binding Front: name 'Front' is not a DNS label",
    ),
    "a pool that no process would take": (
        but_with("relay", databases=(DatabaseUse("frontdb", pool_size=201),)),
        "relay: database frontdb: a pool of 201 connections .*; use 1 to 200",
    ),
    "a port for the privileged": (
        listening(Port("http", 80)),
        "the service relay: port http: 80 is no port .*; use one from 1024 to 65535",
    ),
    "a port's name in capitals": (
        listening(HTTP, Port("Admin", 8081)),
        "relay: port Admin: 'Admin' is no name of a port",
    ),
    "a first HTTP port that the process never hears of": (
        listening(Port("web", 8081)),
        "relay: its first port that speaks HTTP is called web, .* HTTP_PORT says; call it http",
    ),
    "a port that hides where a server is": (
        listening(HTTP, Port("database", 8081)),
        "relay: env has DATABASE_PORT twice",
    ),
    "the pod's name in place of the service's": (
        but_with("relay", pod_name_env=("SERVICE_NAME",)),
        "relay: env has SERVICE_NAME twice",
    ),
    "all keys of a Redis": (using("*"), r"keys of worker has '\*', .*; give the prefixes"),
    "keys that end alike": (using("?:worker"), r"keys of worker has '\?:worker'"),
    "a key that reads as a rule": (using("worker ~x"), "'worker ~x', which would read as another"),
    "all commands of a Redis": (
        using("w:*", commands=("@all",)),
        "commands of worker has '@all', .*; name the commands it runs",
    ),
    "a binding's name in capitals": (using("w:*", binding="Redis"), "'Redis' is not a DNS label"),
    "a binding that hides the Kafka cluster": (
        using("w:*", binding="kafka"),
        "worker has two bindings called kafka, .*; give one of them a name of its own by `binding`",
    ),
    "a binding that hides the database": (
        using("w:*", binding="database"),
        "worker has two bindings called database",
    ),
    "an account of Redis' own": (
        and_more(Service("health", "x", redis=(RedisUse("redis-cache", ("h:*",), ("get",)),))),
        "'health' is an account that redis has of its own",
    ),
    "a super user of Kafka": (
        and_more(Service("broker", "x", produces=(TASK_PROCESS,))),
        "'broker' is an account that kafka has of its own, .*; choose another name",
    ),
    "a sidecar called like its service": (
        helped("relay"),
        r"two containers of relay have the same name \(relay, relay\)",
    ),
    "a sidecar's name with _": (helped("a_b"), "sidecar a_b: name 'a_b' is not a DNS label"),
    "a sidecar that may use less than it asks for": (
        helped(memory=("128Mi", "64Mi")),
        r"memory\[1\] \(64Mi\) is below memory\[0\] \(128Mi\)",
    ),
    "a sidecar of no size": (helped(cpu=("1", "lots")), "'lots' is not a Kubernetes quantity"),
    "text instead of texts": (
        but_with("relay", produces="task.process"),
        r"relay: produces is 'task.process': .* tuple; a comma makes it one: \('task.process',\)",
    ),
    "text instead of a record": (
        but_with("front", databases=("frontdb",)),
        r"front: databases is \('frontdb',\): .* DatabaseUse; correct the record",
    ),
    "text within a record within a record": (
        using("w:*", commands="get"),  # pyright: ignore[reportArgumentType]
        r"worker: redis\[0\].commands is 'get': .*; a comma makes it one: \('get',\)",
    ),
    "an engine that there is none of": (
        and_more(Server("spare", "oracle")),  # pyright: ignore[reportArgumentType]
        "spare: engine is 'oracle': Input should be 'postgres', 'mysql', 'kafka' or 'redis'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_record_is_refused_for(name: str):
    records, match = REFUSED[name]
    with pytest.raises(RecordError, match=match) as refused:
        records.check()
    told = [line for line in str(refused.value).splitlines() if "no service uses" not in line]
    assert len(told) == 1, "one line for one mistake"


def test_the_names_that_no_service_may_have_are_those_of_the_servers_own_accounts():
    assert {*OWN_ACCOUNTS["kafka"]} == {kafka.ADMIN, kafka.BROKER}
    own = {"default", redis.HEALTH_USER, redis.OPERATOR, EXPORTER_USER}
    assert {*OWN_ACCOUNTS["redis"]} == own


def test_a_database_may_have_digits_in_its_name():
    storing("workerdb2").check()


def binding(name: str, to: str) -> Service:
    return Service(name, "x", redis=(RedisUse("redis-cache", (f"{name}:*",), ("get",), to),))


@pytest.mark.parametrize(
    ("records", "match"),
    [
        (
            and_more(Service("migrate-frontdb", "x")),
            "the database frontdb and the service migrate-frontdb would both have the "
            "ServiceAccount migrate-frontdb, .*; rename one of them",
        ),
        (
            and_more(
                Server("postgres-headless", "redis"),
                Service("x", "x", redis=(RedisUse("postgres-headless", ("x:*",), ("get",)),)),
            ),
            "the server postgres and the server postgres-headless .* Service postgres-headless",
        ),
        (
            and_more(
                Server("ledger", "mysql"),
                Server("ledger-readers", "redis"),
                Service(
                    "x",
                    "x",
                    databases=(DatabaseUse("books", "ledger", owns_migrations=True),),
                    redis=(RedisUse("ledger-readers", ("x:*",), ("get",)),),
                ),
            ),
            "the server ledger and the server ledger-readers would both have the ServiceAccount",
        ),
        (
            and_more(
                Service("front-internal", "x"),
                of=but_with("front", ports=(Port("http", 8080, entry="http"), Port("a", 8081))),
            ),
            "the service front and the service front-internal .* Service front-internal",
        ),
        (
            and_more(binding("spare-x", "redis"), binding("x", "redis-spare")),
            "the Redis binding redis of spare-x and the Redis binding redis-spare of x .* "
            "Password redis-spare-x",
        ),
        (
            and_more(binding("workerdb", "postgres")),
            "the database workerdb and the Redis binding postgres of workerdb .* postgres-workerdb",
        ),
    ],
)
def test_two_records_whose_objects_would_have_one_name_are_refused(records: Records, match: str):
    with pytest.raises(RecordError, match=match):
        records.check()


def test_the_small_population_is_sound():
    SMALL.check()
