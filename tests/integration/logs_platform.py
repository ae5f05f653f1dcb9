"""Loki and the reader of a node's logs as the cluster runs them: same programs and files."""

from __future__ import annotations

import base64
import gzip
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import httpx

from components.kit import paths
from components.kit.volumes import NODE_LOGS
from components.monitoring import log_reader_config, loki_config
from tests.integration.authority import PATIENCE, Authority
from tests.integration.containers import Container, Containers, File, TestEnvironmentError

LOKI_UID: Final = 10001
READER_UID: Final = 10016
_API: Final = "/api/v1/namespaces/monitoring/services/https:loki:https/proxy"


@dataclass(frozen=True)
class Store:
    """Loki."""

    container: Container
    authority: Authority

    def api(self) -> httpx.Client:
        """As the cluster's API leads to it; for the caller to close."""
        port = self.container.ports[loki_config.PORT]

        def direct(request: httpx.Request) -> None:
            request.url = request.url.copy_with(path=request.url.path.removeprefix(_API))

        return httpx.Client(
            base_url=f"https://localhost:{port}",
            verify=ssl.create_default_context(cafile=str(self.authority.ca_file)),
            trust_env=False,
            timeout=PATIENCE,
            event_hooks={"request": [direct]},
        )

    async def ready(self) -> bool:
        assert self.container.running(), self.container.logs()
        with self.api() as api:
            try:
                return api.get(f"{_API}/ready").status_code == 200
            except httpx.HTTPError:
                return False


def are_kept(containers: Containers) -> bool:
    """Whether there is an image of Loki."""
    try:
        containers.image("loki")
    except TestEnvironmentError:
        return False
    return True


def start_loki(containers: Containers, authority: Authority, hostname: str) -> Store:
    chain, key = authority.issue("localhost", hostname)
    text = loki_config.configuration(retention_days=7)
    config = paths.config("loki")
    container = containers.run(
        hostname,
        containers.image("loki"),
        ["/usr/bin/loki", "-target=all", f"-config.file={config}/loki.yaml"],
        uid=LOKI_UID,
        ports=[loki_config.PORT],
        files={
            f"{config}/loki.yaml": File(text.encode()),
            f"{paths.TLS}/tls.crt": File(chain),
            f"{paths.TLS}/tls.key": File(key, 0o600, LOKI_UID),
            loki_config.DATA: File(None, 0o700, LOKI_UID),
        },
        hostname=hostname,
    )
    return Store(container, authority)


@dataclass
class Node:
    """A node's folder of logs, in the container of who reads it."""

    reader: Container
    files: dict[str, str] = field(default_factory=dict[str, str])
    """Path to text, as it was written."""

    def write(
        self, *texts: str, namespace: str = "apps", pod: str = "rest-1", parts: bool = False
    ) -> list[int]:
        """A line each, or one line of all as its `parts`; when, in nanoseconds since 1970."""
        stamps: list[int] = []
        lines = ""
        for number, text in enumerate(texts):
            stamps.append(time.time_ns())
            tag = "P" if parts and number < len(texts) - 1 else "F"
            lines += f"{_stamp(stamps[-1])} stdout {tag} {text}\n"
        path = f"{NODE_LOGS}/{namespace}_{pod}_1234-5678/main/0.log"
        self.files[path] = self.files.get(path, "") + lines
        self.run(f"mkdir -p {path.rpartition('/')[0]}; cat >>{path}", lines)
        return stamps

    def rotate(self, *, namespace: str = "apps", pod: str = "rest-1") -> None:
        """As a kubelet does: renamed, and what comes is written anew."""
        path = f"{NODE_LOGS}/{namespace}_{pod}_1234-5678/main/0.log"
        self.run(f"mv {path} {path}.20261123-080000")
        del self.files[path]

    def run(self, script: str, text: str = "") -> None:
        coded = base64.b64encode(gzip.compress(text.encode())).decode()
        for at in range(0, max(1, len(coded)), 60_000):  # a command line holds 128 KiB
            self.reader.execute(f"echo -n {coded[at : at + 60_000]} >>/tmp/text")
        self.reader.execute(f"umask 022; base64 -d </tmp/text | gzip -d | ({script}); : >/tmp/text")


def _stamp(nanoseconds: int) -> str:
    second, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def start_reader(
    containers: Containers,
    authority: Authority,
    name: str,
    store: str,
    files: Mapping[str, str] | None = None,
) -> Node:
    """With what a reader before it found on the node, if it had one."""
    text = log_reader_config.configuration(
        namespaces=("data", "apps"), store=f"https://{store}:{loki_config.PORT}"
    )
    config = paths.config("log-reader")
    old = {path: File(of.encode(), 0o644, READER_UID) for path, of in (files or {}).items()}
    container = containers.run(
        name,
        containers.image("collector"),
        ["/otelcol-contrib", f"--config={config}/log-reader.yaml"],
        uid=READER_UID,
        ports=[log_reader_config.HEALTH_PORT],
        files={
            f"{config}/log-reader.yaml": File(text.encode()),
            paths.CA_FILE: File(authority.ca_pem),
            NODE_LOGS: File(None, 0o755, READER_UID),
            log_reader_config.STATE: File(None, 0o700, READER_UID),
            **old,
        },
    )
    return Node(container, dict(files or {}))
