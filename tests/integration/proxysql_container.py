"""ProxySQL as the cluster runs it, where an image of it is given: MILLRACE_PROXYSQL_IMAGE."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from components.kit import paths
from components.servers.proxysql import config
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import Authority, eventually
from tests.integration.containers import Container, Containers, File

VARIABLE: Final = "MILLRACE_PROXYSQL_IMAGE"
PROXYSQL_UID: Final = 10006


def given_image() -> str | None:
    return os.environ.get(VARIABLE) or None


@dataclass
class Proxy:
    container: Container
    authority: Authority
    routes: config.Routes = field(repr=False)

    @property
    def port(self) -> int:
        return self.container.ports[config.PORT]

    def settings(self, name: str, user: str, password_file: Path) -> DatabaseSettings:
        return DatabaseSettings(
            host="localhost",
            port=self.port,
            name=name,
            user=user,
            password_file=password_file,
            ca_file=self.authority.ca_file,
            pool_size=10,
        )

    def ask(self, statement: str) -> list[list[str]]:
        """The administrator's answer, from within."""
        code, output = self.container.ask(
            *("mysql", f"--defaults-file={config.RUN_PATH}/admin.my.cnf"),
            *("--batch", "--skip-column-names", f"--execute={statement}"),
        )
        assert code == 0, output
        return [line.split("\t") for line in output.splitlines()]

    def ready(self) -> bool:
        """What the cluster's probe says."""
        code, _ = self.container.ask("bash", f"{config.CONFIG_PATH}/ready.sh")
        return code == 0

    def online(self, hostgroup: int) -> set[str]:
        """Who answers for a hostgroup now."""
        rows = self.ask(
            "SELECT hostname FROM runtime_mysql_servers"
            f" WHERE hostgroup_id = {hostgroup} AND status = 'ONLINE'"
        )
        return {name for (name,) in rows}

    def take(self, routes: config.Routes) -> None:
        """Other routes, where they are mounted."""
        self.routes = routes
        self.container.put(_mounted(routes))

    async def wait(self) -> None:
        async def answers() -> bool:
            assert self.container.running(), self.container.logs()
            return self.ready()

        await eventually(answers, 120)


def _mounted(routes: config.Routes) -> dict[str, File]:
    return {
        f"{config.ROUTES_PATH}/{name}": File(text.encode(), 0o440, PROXYSQL_UID)
        for name, text in routes.texts().items()
    }


def start_proxy(
    containers: Containers,
    authority: Authority,
    routes: config.Routes,
    *,
    name: str = "proxysql",
    threads: int = 2,
    trusted: bytes | None = None,
    before: str = "",
) -> Proxy:
    """From the texts the cluster uses. No two of a run share a `name`.

    `trusted`: CA certificates for those of its servers; `before`: what else bash runs, first.
    """
    image = given_image()
    assert image is not None
    chain, key = authority.issue()
    uid = PROXYSQL_UID
    texts = {
        "proxysql.cnf": config.proxysql_cnf(max_clients=2000, threads=threads),
        "start.sh": config.start_script(drain_seconds=5),
        "ready.sh": config.probe_script(),
    }
    container = containers.run(
        name,
        image,
        ["bash", "-c", f"{before} exec bash {config.CONFIG_PATH}/start.sh"],
        uid=uid,
        ports=[config.PORT, config.METRICS_PORT],
        environment={"LANG": "C.UTF-8"},
        files={
            **{f"{config.CONFIG_PATH}/{file}": File(t.encode()) for file, t in texts.items()},
            **_mounted(routes),
            config.RUN_PATH: File(None, 0o700, uid),
            f"{paths.CA_FILE}": File(trusted or authority.ca_pem),
            f"{paths.TLS}/ca.crt": File(authority.ca_pem),
            f"{paths.TLS}/tls.crt": File(chain),
            f"{paths.TLS}/tls.key": File(key, 0o440, uid),
        },
        hostname=name,
    )
    return Proxy(container, authority, routes)
