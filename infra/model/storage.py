"""What the records say of databases: each has one home, and copies where any are asked for."""

from collections.abc import Iterator

from infra.model.servers import COPIED_ENGINES, Server
from infra.model.services import Service


def contradictions(services: tuple[Service, ...], servers: tuple[Server, ...]) -> Iterator[str]:
    """A line for each."""
    yield from _databases(services)
    yield from _migrations(services)
    yield from _readers(services, servers)


def _databases(services: tuple[Service, ...]) -> Iterator[str]:
    every = [(service, use) for service in services for use in service.databases]
    for name in dict.fromkeys(use.name for _, use in every):
        uses = [(service, use) for service, use in every if use.name == name]
        users = " and ".join(dict.fromkeys(service.name for service, _ in uses))
        owners = {s.package: s.name for s, use in uses if use.owns_migrations}
        if not owners:
            yield (
                f"the database {name} ({users}) is owned by no package, so it would have no "
                "tables; set owns_migrations in the record whose package has its migrations"
            )
        if len(owners) > 1:
            yield (
                f"{' and '.join(owners.values())} both own the migrations of the database {name}, "
                f"from the packages {' and '.join(owners)}; its revisions have one home: keep one"
            )
        if len({use.server for _, use in uses}) > 1:
            yield (
                f"{users} use the database {name} on different servers; name one server in all "
                "their records, or give the databases different names"
            )


def _migrations(services: tuple[Service, ...]) -> Iterator[str]:
    for service in services:
        owned = [use.name for use in service.databases if use.owns_migrations]
        if len(owned) > 1:
            yield (
                f"{service.name} owns the migrations of {' and '.join(owned)}, but its package has "
                "one folder of them, so each would get the tables of all; leave all but one to "
                "another package"
            )


def _readers(services: tuple[Service, ...], servers: tuple[Server, ...]) -> Iterator[str]:
    copied = {server.name for server in servers if server.engine in COPIED_ENGINES}
    for service in services:
        for use in service.databases:
            if not use.readers:
                continue
            here = f"{service.name} reads copies of {use.name}"
            if use.server not in copied:
                yield (
                    f"{here}, but {use.server} is no server that has any (those of "
                    f"{', '.join(COPIED_ENGINES)} have); leave readers out"
                )
            if use.owns_migrations:
                yield (
                    f"{here} and owns its migrations by the same use, but copies take no change; "
                    "say owns_migrations in a use without readers"
                )
