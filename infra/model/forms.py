"""Each record by itself: fields of their types, and names and rights that will be taken.

Components are held to the same rules (`components.kit.rules`), but only when it is their turn: by
then other resources are there.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Final, cast, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from components.kit import rules
from components.kit.names import (
    BUILDERS_VARIABLES,
    LONGEST_NAME,
    check_label,
    check_name,
    variable,
)
from infra.model.images import IMAGE_NAMES
from infra.model.servers import Server, dashed
from infra.model.services import DatabaseUse, Service, Sidecar

_STRICT: Final = ConfigDict(strict=True)
_DATABASE: Final = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST_DATABASE: Final = 26
"""`_owner` is added to it for an account of MySQL, whose names have 32 characters at most."""
_NO_DATABASES: Final = (
    *("admin", "backup", "none", "postgres", "public", "template0", "template1"),
    *("information_schema", "millrace", "mysql", "performance_schema", "sys"),
)
"""Databases, an administrator and words for roles that a server or its Secrets have already."""
_NO_ENDINGS: Final = ("b", "owner", "restoring", "user")
"""After an _: what accounts of a database, and it itself while it is restored, are called."""

LARGEST_POOL: Final = 200
"""What a process takes as DATABASE_POOL_SIZE at most."""


def wrong_types(records: Iterable[Service | Server]) -> Iterator[str]:
    """What is not of the type that the record declares."""
    for record in records:
        yield from _wrong_types(f"{record.name}: ", record)


def _wrong_types(where: str, record: object) -> Iterator[str]:
    hints = get_type_hints(type(record))
    for field in fields(cast("Any", record)):
        value, wanted = getattr(record, field.name), hints[field.name]
        here = f"{where}{field.name}"
        try:
            TypeAdapter[object](wanted, config=_STRICT).validate_python(value)
        except ValidationError as error:
            said = error.errors()[0]["msg"]
            text = isinstance(value, str) and get_origin(wanted) is tuple
            way = f"a comma makes it one: ({value!r},)" if text else "correct the record"
            yield f"{here} is {value!r}: {said}; {way}"
            continue
        if is_dataclass(value):
            yield from _wrong_types(f"{here}.", value)
        elif isinstance(value, tuple):
            for number, item in enumerate(cast("tuple[object, ...]", value)):
                if is_dataclass(item):
                    yield from _wrong_types(f"{here}[{number}].", item)


def of_server(server: Server) -> Iterator[str]:
    # Of Kafka's, objects are called <name>-controller; Jobs' names end in a hash, too.
    longest = LONGEST_NAME - len("-controller")
    yield from _told(f"the server {server.name}", check_name, server.name, longest)
    if server.proxied and server.engine != "mysql":
        yield (
            f"the server {server.name} is proxied, but ProxySQL speaks to MySQL alone and this is "
            f"{server.engine}; leave proxied out"
        )


def of_service(service: Service) -> Iterator[str]:
    here = f"the service {service.name}"
    yield from _told(here, check_name, service.name)
    if service.uses_kafka:
        yield from _told(here, rules.check_account, "kafka", service.name)
    for database in service.databases:
        yield from _of_database(here, database)
    for port in service.ports:
        yield from _told(f"{here}: port {port.name}", rules.check_port_name, port.name)
        yield from _told(f"{here}: port {port.name}", rules.check_port_number, port.number)
    for use in service.redis:
        # Its name is in those of a Secret, of a volume and of variables.
        binding = f"{here}: Redis binding {use.binding}"
        yield from [*_told(binding, check_name, use.binding)] or _told(
            binding, check_label, f"{use.binding}-{service.name}"
        )
        yield from _told(here, rules.check_acl, service.name, use.keys, use.commands)
    yield from _told(here, rules.check_containers, service.name, [s.name for s in service.sidecars])
    for sidecar in service.sidecars:
        yield from _of_sidecar(f"{here}: sidecar {sidecar.name}", sidecar)
    yield from _of_variables(here, service)


def _of_database(here: str, use: DatabaseUse) -> Iterator[str]:
    fits = _DATABASE.fullmatch(use.name) and len(use.name) <= _LONGEST_DATABASE
    if not fits or use.name in _NO_DATABASES or use.name.rpartition("_")[2] in _NO_ENDINGS:
        # A role, an object of Kubernetes and a part of others' names: this suits all of them.
        yield (
            f"{here}: its database cannot be called {use.name!r}; use at most "
            f"{_LONGEST_DATABASE} lower-case letters and digits, beginning with a letter, with "
            f"single _ between them, none of {', '.join(_NO_DATABASES)}, and nothing that is or "
            f"ends in _{', _'.join(_NO_ENDINGS)}"
        )
        return
    if use.pool_size is not None and not 1 <= use.pool_size <= LARGEST_POOL:
        yield (
            f"{here}: database {use.name}: a pool of {use.pool_size} connections is none a process "
            f"would take; use 1 to {LARGEST_POOL}, or leave it to databasePoolSize"
        )
    yield from _told(f"{here}: database binding {use.binding}", check_name, use.binding)
    if use.backups_prefix is not None:
        yield from _told(f"{here}: backups of {use.name}", check_name, use.backups_prefix)
    yield from _told(f"{here}: database {use.name}", check_name, f"migrate-{dashed(use.name)}")
    yield from _told(
        f"{here}: database {use.name}", check_label, f"{use.server}-{dashed(use.name)}-owner"
    )


def _of_sidecar(here: str, sidecar: Sidecar) -> Iterator[str]:
    yield from _told(here, check_label, sidecar.name)
    yield from _told(here, rules.check_env, sidecar.env)
    for what, (request, limit) in (("cpu", sidecar.cpu), ("memory", sidecar.memory)):
        yield from _told(here, rules.check_limit, f"{what}[1]", limit, f"{what}[0]", request)
    if sidecar.image not in IMAGE_NAMES:
        yield (
            f"{here} runs the image {sidecar.image}, which the catalogue does not know; add it "
            f"there, or use one of: {', '.join(IMAGE_NAMES)}"
        )


def _of_variables(here: str, service: Service) -> Iterator[str]:
    ports = [variable(port.name, "PORT") for port in service.ports]
    # LOG_LEVEL is the stack file's; the bindings' variables begin with their names.
    own = (*BUILDERS_VARIABLES, "LOG_LEVEL", *ports, *service.pod_name_env)
    bound = {variable(name, "PORT") for name in bindings(service)}
    yield from _told(here, rules.check_set_once, (*own, *bound))
    first = next((port for port in service.ports if port.protocol == "http"), None)
    if first is not None and first.name != "http":
        yield (
            f"{here}: its first port that speaks HTTP is called {first.name}, but a process "
            "listens where HTTP_PORT says; call it http"
        )


def bindings(service: Service) -> list[str]:
    """Names of all that a service's pods are told how to reach."""
    names = [use.binding for use in (*service.redis, *service.databases)]
    return names + (["kafka"] if service.uses_kafka else [])


def _told(where: str, check: Callable[..., object], *said: object) -> Iterator[str]:
    try:
        check(*said)
    except ValueError as error:
        yield f"{where}: {error}"
