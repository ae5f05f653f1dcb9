"""The drill: a service is really added to a copy of the repository, checked, and started.

It costs a package, a record and a row in the README; `make docs` writes the generated pages.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.kit import paths
from docs.reference.pages import PAGES
from services.provision import kafka as provisioner
from services.shared.postgres.database import connect
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE
from tests.integration.event_worker.messages import Sender
from tests.integration.kafka_container import KafkaServer
from tests.integration.processes import ServiceProcess, environment
from tests.integration.servers import PostgresServer, eventually

ROOT = Path(__file__).parents[2]
DRILL = Path(__file__).with_name("new_service")
GENERATED = {*(f"docs/{page.name}" for page in PAGES), "infra/model/stack.schema.json"}
GENERATED |= {"infra/model/variables.json", "infra/monitoring/services.json"}


class Copy:
    """A copy of what git knows of this repository, with the new service in it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        tracked = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in filter(None, tracked.stdout.split("\0")):
            source, target = ROOT / name, folder / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        self._before = self._contents()

    def add_service(self) -> None:
        shutil.copytree(DRILL / "audit_log", self.root / "services" / "audit_log")
        records = self.root / "infra" / "model" / "services.py"
        head, opening, tail = records.read_text().partition("SERVICES: Final = (\n")
        records.write_text(head + opening + (DRILL / "record.txt").read_text() + tail)
        readme = self.root / "README.md"
        lines = readme.read_text().splitlines(keepends=True)
        last = max(n for n, line in enumerate(lines) if "](services/" in line)
        lines.insert(last + 1, (DRILL / "row.txt").read_text())
        readme.write_text("".join(lines))

    def changed(self) -> set[str]:
        """The files that differ from the repository's, generated ones aside."""
        now = self._contents()
        names = now.keys() | self._before.keys()
        return {n for n in names if now.get(n) != self._before.get(n)} - GENERATED

    def run(self, *command: str, env: dict[str, str] | None = None) -> str:
        """Run Python in the copy, on the copy's modules; what it printed."""
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.root,
            env={
                "PATH": os.environ["PATH"],
                "HOME": os.environ["HOME"],
                **self.python,
                **(env or {}),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    @property
    def python(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}

    def _contents(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and not any(part.startswith(".") for part in path.parts[-2:-1])
        }


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    made = Copy(tmp_path_factory.mktemp("checkout"))
    made.add_service()
    return made


def test_a_new_service_costs_a_package_a_record_and_a_row(copy: Copy) -> None:
    outside = {name for name in copy.changed() if not name.startswith("services/audit_log/")}
    assert outside == {"infra/model/services.py", "README.md"}


@pytest.mark.timeout(900)  # a minute and a half alone, and it never is
def test_the_repositorys_own_checks_pass_with_it(copy: Copy) -> None:
    copy.run("-m", "infra.model.schema")
    copy.run("-m", "docs.reference")
    tools = Path(sys.executable).parent
    for command in (
        [str(tools / "ruff"), "check", "."],
        [str(tools / "ruff"), "format", "--check", "."],
        [str(tools / "lint-imports")],
        [str(tools / "pyright"), "--pythonpath", sys.executable, "services/audit_log", "infra"],
    ):
        done = subprocess.run(
            command,
            cwd=copy.root,
            env=os.environ | copy.python,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    folders = ("infra", "repository", "services/contracts", "services/test_programs.py")
    copy.run("-m", "pytest", "-q", *(f"tests/unit/{f}" for f in folders), "tests/policy")


@pytest.mark.timeout(600)  # as a rule it is the first that needs the servers, which start for it
async def test_it_starts_with_what_the_program_gives_it_and_does_its_work(
    copy: Copy, postgres: PostgresServer, kafka_server: KafkaServer, tmp_path: Path
) -> None:
    told: dict[str, Any] = json.loads(copy.run(str(DRILL / "describe.py"), "audit-log"))
    database = await postgres.provision("auditdb")
    user = told["user"]
    account = kafka_server.user(
        user["name"], produce=user["produce"], consume=user["consume"], groups=user["groups"]
    )
    provisioner.provision(kafka_server.spec(users=[account]), wait_seconds=60)
    # The cluster's addresses and mounted files are this machine's here; all else is the program's.
    own = {name: value for name, value in told["env"].items() if not _mounted(value)}
    for name in ("TRACING_ENDPOINT", "TRACING_POD"):  # told once `make docs` knows of its spans
        own.pop(name, None)
    variables = own | environment(
        "audit-log", database, kafka_server.settings("audit-log"), KAFKA_GROUP_INSTANCE_ID="pod-1"
    )
    copy.run(*told["migrate"][1:], env={k: str(v) for k, v in variables.items()})
    process = ServiceProcess(
        told["command"][2], variables, tmp_path / "audit-log.log", root=copy.root
    )
    try:
        await eventually(process.ready)
        sender = Sender(kafka_server)
        event = sender.resource("drilled", "c", 1)
        sender.send("resource.created", "drilled", headers={"event_id": "no-id"})
        sender.flush()
        await eventually(lambda: _written(database, event))
        await eventually(lambda: process.metric("kafka_consumer_dead_letters_total"))
        assert process.terminate() == 0
    finally:
        process.kill()


def _mounted(value: Any) -> bool:
    return str(value).startswith(paths.ROOT)


async def _written(database: DatabaseSettings, event: str) -> bool:
    connection = await connect(database, "test-drill", connect_timeout=PATIENCE)
    try:
        row = await connection.fetchrow("SELECT event_type FROM entries WHERE event_id = $1", event)
        return row is not None and row["event_type"] == "resource.created"
    finally:
        await connection.close()
