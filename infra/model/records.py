"""All records together: what follows from them, and that they do not contradict each other."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from infra.model import forms, objects, storage
from infra.model.objects import Made
from infra.model.servers import DATABASE_ENGINES, SERVERS, Engine, Server
from infra.model.services import SERVICES, Service
from infra.model.uses import DatabaseUse
from services.contracts.topics import TOPICS

DEFAULT: Final = "default"
"""In place of a service's name in a stack file: what is said there is said of all of them."""


class RecordError(ValueError):
    """The records contradict each other; the message names those that do and the way out."""


@dataclass(frozen=True)
class Records:
    """The population of one platform."""

    services: tuple[Service, ...] = SERVICES
    servers: tuple[Server, ...] = SERVERS

    @property
    def service_names(self) -> tuple[str, ...]:
        return tuple(service.name for service in self.services)

    def server_names(self, *, engine: Engine) -> tuple[str, ...]:
        return tuple(server.name for server in self.servers if server.engine == engine)

    def databases(self, *, server: str | None = None) -> tuple[str, ...]:
        """Every database some service uses, once, in the order of first use; of one server."""
        uses = (use for _, use in self._uses() if server in (None, use.server))
        return tuple(dict.fromkeys(use.name for use in uses))

    def owner(self, database: str) -> str:
        """The package whose folder `migrations` holds the database's revisions."""
        return next(
            service.package
            for service, use in self._uses()
            if use.name == database and use.owns_migrations
        )

    def backups_prefix(self, database: str) -> str | None:
        """What names of a database's backups begin with, where its owner says so."""
        return next(
            (
                use.backups_prefix
                for _, use in self._uses()
                if use.name == database and use.owns_migrations
            ),
            None,
        )

    def topics(self) -> tuple[str, ...]:
        """Every topic some service produces or consumes, once, in the order of first use."""
        return tuple(dict.fromkeys(t for s in self.services for t in s.produces + s.consumes))

    def entries(self) -> tuple[str, ...]:
        """The ports of the stack's entry that lead somewhere."""
        return tuple(port.entry for s in self.services for port in s.ports if port.entry)

    def passwords(self) -> tuple[str, ...]:
        """Every password that a record asks for, by the name of its Secret."""
        return tuple(made.name for made in self.objects() if made.kind == "Password")

    def objects(self) -> tuple[Made, ...]:
        """What the platform makes under names that follow from the records."""
        return (
            *(
                made
                for server in self.servers
                for made in objects.of_server(server, self.databases(server=server.name))
            ),
            *(made for service in self.services for made in objects.of_service(service)),
            *objects.of_exporters(self.servers),
            *objects.of_monitoring(),
        )

    def check(self) -> None:
        """That the records fit together, before anything is made of them.

        Raises:
            RecordError: one line per contradiction, with both records' names.
        """
        # In three steps: what is of a wrong type has no name, and a wrong name collides, too.
        problems = [*forms.wrong_types((*self.services, *self.servers))]
        problems = problems or [
            *(line for server in self.servers for line in forms.of_server(server)),
            *(line for service in self.services for line in forms.of_service(service)),
            *_names(self),
            *_servers(self),
            *_ports(self.services),
            *storage.contradictions(self.services, self.servers),
            *_bindings(self.services),
            *_topics(self.services),
            *_calls(self),
        ]
        problems = problems or [*objects.collisions(self.objects())]
        if problems:
            raise RecordError("\n".join(problems))

    def _uses(self) -> Iterator[tuple[Service, DatabaseUse]]:
        return ((service, use) for service in self.services for use in service.databases)


def _names(records: Records) -> Iterator[str]:
    seen: dict[str, str] = {}
    kinds = [(s.name, "server") for s in records.servers]
    for name, kind in (*kinds, *((s.name, "service") for s in records.services)):
        if name in seen:
            yield (
                f"a {seen[name]} and a {kind} are both called {name}, so one's objects would "
                "replace the other's; rename one of them"
            )
        seen[name] = kind
    if DEFAULT in seen:
        yield (
            f"a {seen[DEFAULT]} is called {DEFAULT}, which in a stack file means all services; "
            "rename it"
        )


def _servers(records: Records) -> Iterator[str]:
    clusters = records.server_names(engine="kafka")
    if len(clusters) > 1:
        yield (
            f"{' and '.join(clusters)} are both Kafka, but topics and accounts know one cluster; "
            "keep one"
        )
    known = {server.name: server.engine for server in records.servers}
    for service in records.services:
        used: list[tuple[str, tuple[Engine, ...]]]
        used = [(use.server, ("redis",)) for use in service.redis]
        used += [(use.server, DATABASE_ENGINES) for use in service.databases]
        for name, engines in used:
            if known.get(name) not in engines:
                names = [name for name, engine in known.items() if engine in engines]
                yield (
                    f"{service.name} uses {name}, which is no {' or '.join(engines)} server; add a "
                    f"record for it, or use one of: {', '.join(names)}"
                )
        if service.uses_kafka and not clusters:
            yield f"{service.name} has topics, but no server is Kafka; add a record for it"
    for server in records.servers:
        if not any(service.uses(server) for service in records.services):
            yield f"no service uses the server {server.name}; remove its record"


def _ports(services: Iterable[Service]) -> Iterator[str]:
    published: dict[str, str] = {}
    for service in services:
        if not service.ports:
            yield f"{service.name} has no port, so nothing could ask how it is; give it one"
        for what in ("name", "number"):
            values = [getattr(port, what) for port in service.ports]
            for value in sorted({value for value in values if values.count(value) > 1}):
                yield f"{service.name} has two ports with the {what} {value}; change one of them"
        for port in service.ports:
            if port.entry is None:
                continue
            here = f"{service.name}'s port {port.name}"
            if port.entry in published:
                # As node port of two Services the API server would refuse the second, and two
                # load balancers would be announced under one URL.
                yield (
                    f"{published[port.entry]} and {here} both have the entry {port.entry}, which "
                    "has one port; give one of them an entry of its own, or none"
                )
            published[port.entry] = here


def _bindings(services: Iterable[Service]) -> Iterator[str]:
    for service in services:
        names = forms.bindings(service)
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield (
                f"{service.name} has two bindings called {name}, so one's variables would hide "
                "the other's; give one of them a name of its own by `binding`"
            )


def _topics(services: Iterable[Service]) -> Iterator[str]:
    for service in services:
        for topic in dict.fromkeys(service.produces + service.consumes):
            if topic not in TOPICS:
                yield (
                    f"{service.name} names the topic {topic}, which services/contracts/topics.py "
                    f"does not know; add it there, or use one of: {', '.join(TOPICS)}"
                )
        letters = service.dead_letter
        if service.consumes and letters is not None and letters not in service.produces:
            # Its account could not write there, and its partition would wait for ever.
            yield (
                f"{service.name} consumes, but would have no right to put a message that it cannot "
                f"read into {letters}; add {letters} to its produces, or say dead_letter=None if "
                "it sets nothing aside"
            )


def _calls(records: Records) -> Iterator[str]:
    for service in records.services:
        for name in service.calls:
            if name not in records.service_names:
                yield (
                    f"{service.name} calls {name}, which is no service; known: "
                    f"{', '.join(records.service_names)}"
                )


RECORDS: Final = Records()
