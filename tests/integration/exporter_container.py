"""Exporters as the cluster runs them: the same programs, flags and files."""

from __future__ import annotations

import re
import ssl
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from components.kit import paths
from components.monitoring.exporter import CONFIG_PATH, UID
from components.monitoring.web import WEB_FILE, web_config
from tests.integration.authority import Authority
from tests.integration.containers import Container, Containers, File
from tests.integration.ports import free_port

_ANSWER_SECONDS: Final = 30
_START_SECONDS: Final = 60
_LINE: Final = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="((?:\\.|[^"\\])*)"')

Series = dict[str, list[tuple[dict[str, str], float]]]
"""By name: labels and value of each."""


@dataclass(frozen=True)
class Exporter:
    """One that runs, on the host's own network, where servers are `localhost` to it too."""

    container: Container
    authority: Authority
    port: int

    def probe(self, path: str = "/probe", **asked: str) -> Series:
        """What Prometheus would get."""
        return read(self._get(path, asked))

    def _get(self, path: str, asked: Mapping[str, str]) -> str:
        url = f"https://localhost:{self.port}{path}?{urllib.parse.urlencode(dict(asked))}"
        trusted = ssl.create_default_context(cafile=str(self.authority.ca_file))
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS, context=trusted) as answer:
            return answer.read().decode()

    def wait(self, path: str = "/") -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self._get(path, {})
            except OSError:
                assert self.container.running(), self.container.logs()
                assert time.monotonic() < deadline, self.container.logs()
                time.sleep(0.1)
            else:
                return


def read(text: str) -> Series:
    """Of what is exposed as text, names as they stand there: the library's own reader changes
    those of counters."""
    found: Series = {}
    for name, labels, value in _LINE.findall(text):
        pairs = dict(_LABEL.findall(labels))
        found.setdefault(name, []).append((pairs, float(value)))
    return found


def start_exporter(
    containers: Containers,
    authority: Authority,
    name: str,
    command: tuple[str, ...],
    files: Mapping[str, str],
) -> Exporter:
    """`command` and `files` (name to text) as the component has them, at a port that is free."""
    port, [listens] = free_port(), [a for a in command if a.startswith("--web.listen-address=")]
    own = [f"--web.listen-address=127.0.0.1:{port}" if a == listens else a for a in command]
    chain, key = authority.issue()
    container = containers.run(
        name,
        containers.image(name),
        own,
        uid=UID,
        ports=[],
        files={
            f"{CONFIG_PATH}/{file}": File(text.encode(), 0o600, UID) for file, text in files.items()
        }
        | {
            f"{CONFIG_PATH}/{WEB_FILE}": File(web_config().encode()),
            paths.CA_FILE: File(authority.ca_pem),
            f"{paths.TLS}/tls.crt": File(chain),
            f"{paths.TLS}/tls.key": File(key, 0o600, UID),
        },
        memory="64m",
        on_host=True,
    )
    made = Exporter(container, authority, port)
    made.wait()
    return made
