"""Exporters: one program per engine, which asks every server of it for Prometheus."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi

from components.kit.args import Text
from components.monitoring import exporters
from components.monitoring.exporter import Exporter, ExporterArgs
from components.monitoring.web import WEB_FILE, web_config
from components.security.secrets import Password
from components.workloads.jobs import Job
from infra.model.servers import EXPORTER_USER, EXPORTERS, Engine, Server
from infra.monitoring.scraping.servers import redis_target
from infra.stack.foundation import MONITORING, Foundation


@dataclass(frozen=True)
class Watched:
    """A server, and who may ask how it fares."""

    server: Server
    user: str
    password: Password
    provisioned: Job
    """When it has completed, the server knows the password."""


Logins = Mapping[str, tuple[str, str]]
"""What a server is called to user and password."""


@dataclass(frozen=True)
class _Kind:
    """The exporter of one engine."""

    port: int
    command: tuple[str, ...]
    file: str
    text: Callable[[Logins], str]
    called: Callable[[Server], str] = lambda server: server.name
    health_path: str = "/"
    toolkit: bool = True
    """Whether it takes a file about its web server."""


_KINDS: Final[Mapping[Engine, _Kind]] = {
    "postgres": _Kind(
        exporters.POSTGRES_PORT,
        exporters.postgres_command(),
        "postgres_exporter.yml",
        exporters.postgres_config,
    ),
    "mysql": _Kind(
        exporters.MYSQL_PORT, exporters.mysql_command(), "my.cnf", exporters.mysql_config
    ),
    "redis": _Kind(
        exporters.REDIS_PORT,
        exporters.redis_command(EXPORTER_USER),
        "passwords.json",
        exporters.redis_config,
        called=redis_target,
        health_path="/health",
        toolkit=False,
    ),
}


def provide_exporters(ground: Foundation, watched: Sequence[Watched]) -> None:
    """An exporter of every engine that is watched; it is told of a server's password once the
    server knows it."""
    for engine, kind in _KINDS.items():
        of_engine = [one for one in watched if one.server.engine == engine]
        if of_engine:
            _exporter(ground, EXPORTERS[engine], kind, of_engine)


def _exporter(ground: Foundation, name: str, kind: _Kind, watched: Sequence[Watched]) -> None:
    config: dict[str, Text] = {kind.file: _logins(watched, kind.called).apply(kind.text)}
    if kind.toolkit:
        config[WEB_FILE] = web_config()
    Exporter(
        name,
        ExporterArgs(
            namespace=ground.namespaces.names[MONITORING],
            namespace_name=MONITORING,
            image=ground.catalogue.reference(name),
            pull_secrets=ground.settings.images.pull_secrets,
            authority=ground.authority,
            ca=ground.authority.bundles[MONITORING],
            command=kind.command,
            port=kind.port,
            health_path=kind.health_path,
            config=config,
            after=tuple(one.provisioned for one in watched),
        ),
        ground.child,
    )


def _logins(
    watched: Sequence[Watched], called: Callable[[Server], str]
) -> pulumi.Output[dict[str, tuple[str, str]]]:
    users = {called(one.server): one.user for one in watched}

    def with_users(passwords: Sequence[str]) -> dict[str, tuple[str, str]]:
        return {
            name: (user, password)
            for (name, user), password in zip(users.items(), passwords, strict=True)
        }

    return pulumi.Output.all(*(one.password.value for one in watched)).apply(with_users)
