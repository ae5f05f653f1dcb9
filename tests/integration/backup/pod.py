"""A pod of backup Jobs beside a real server: the programs and the code, and what they store."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from services.backup.encryption import new_identity
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import Authority, eventually
from tests.integration.containers import Container, Containers, File

UID = 10001
BACKUPS, SCRATCH, SECRETS, SMALL = "/backups", "/scratch", "/secrets", "/dev/shm/small"
_CODE = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Outcome:
    """How an action ended, and what it said."""

    code: int
    said: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.said.splitlines() if line.startswith("{")]

    def line(self, event: str) -> dict[str, Any]:
        """The one line of an event."""
        found = [line for line in self.lines if line.get("event") == event]
        assert len(found) == 1, self.said[-3000:]
        return found[0]


@dataclass
class Pod:
    """Runs actions against one server; what they store outlives them, and `kill`."""

    container: Container
    engine: str
    spec: dict[str, Any]
    accounts: Mapping[str, DatabaseSettings]
    """The services' own, by database."""

    async def act(self, *action: str, **changes: Any) -> Outcome:
        """Run `python -m services.backup ENGINE …` to its end."""
        command = self._command(action, changes)
        code, said = await asyncio.to_thread(self.container.ask, "bash", "-c", command)
        return Outcome(code, said)

    async def do(self, *action: str, **changes: Any) -> Outcome:
        """As act, and it has to go well."""
        done = await self.act(*action, **changes)
        assert done.code == 0, done.said[-4000:]
        return done

    async def take(self, *more: str, **changes: Any) -> str:
        """A backup's name."""
        return (await self.do("take", *more, **changes)).line("backup_taken")["backup"]

    async def restore(self, name: str, *more: str, **changes: Any) -> dict[str, Any]:
        """What it says of it."""
        return (await self.do("restore", "--backup", name, *more, **changes)).line("restored")

    async def refused(self, *action: str, **changes: Any) -> str:
        """The reason it gives."""
        done = await self.act(*action, **changes)
        assert done.code == 1, done.said[-3000:]
        assert "Traceback" not in done.said
        return done.line("backup_action_failed")["reason"]

    def start(self, *action: str, **changes: Any) -> str:
        """Run it in the background; gives the file with what it says."""
        said = f"/tmp/{action[0]}-{secrets.token_hex(4)}.log"
        command = self._command(action, changes)
        self.container.execute(
            f"setsid nohup {command} >{said} 2>&1 </dev/null & echo $! >{said}.pid"
        )
        return said

    def read(self, path: str) -> str:
        return self.container.ask("cat", path)[1]

    def kill(self, said: str, signal: str = "KILL") -> None:
        """The action with all that it started, as when its pod is gone."""
        self.container.ask("bash", "-c", f"kill -{signal} -- -$(cat {said}.pid)")

    def shell(self, script: str) -> str:
        code, said = self.container.ask("bash", "-ec", script)
        assert code == 0, said
        return said

    @contextlib.asynccontextmanager
    async def archiver(self, **changes: Any) -> AsyncIterator[str]:
        """One at work; gives the file with what it says."""
        said = self.start("archive", **changes)
        try:
            yield said
        finally:
            self.kill(said, "TERM")
            await eventually(lambda: asyncio.to_thread(self._ended, said))

    def _ended(self, said: str) -> bool:
        # Nobody in the pod asks for its exit code: it stays there as a zombie.
        running = f"grep -qs '^State:.[^Z]' /proc/$(cat {said}.pid)/status"
        return self.container.ask("bash", "-c", running)[0] != 0

    @contextlib.contextmanager
    def small_disk(self, kibibytes: int) -> Any:
        """The spec's part of a storage with so much room left, a file system of its own."""
        self.shell(
            f"mkdir -p {SMALL} && (cat /dev/zero >/dev/shm/filler 2>/dev/null || true)"
            f" && truncate -s -{kibibytes}K /dev/shm/filler"
        )
        try:
            yield {"kind": "folder", "path": SMALL}
        finally:
            self.shell(f"rm -r {SMALL} /dev/shm/filler")

    def stored(self, folder: str = BACKUPS) -> list[str]:
        """Every file of a storage, by its path there."""
        return sorted(self.shell(f"find {folder} -type f -printf '%P\\n'").split())

    async def backups(self, **changes: Any) -> list[dict[str, Any]]:
        return (await self.do("list", "--json", **changes)).lines

    def _command(self, action: tuple[str, ...], changes: dict[str, Any]) -> str:
        path = f"/tmp/spec-{secrets.token_hex(4)}.json"
        self.container.put({path: File(json.dumps(self.spec | changes).encode())})
        words = " ".join(f"'{word}'" for word in action)
        return f"/app/.venv/bin/python -m services.backup {self.engine} {words} --spec {path}"


def start_pod(
    containers: Containers,
    image: str,
    engine: str,
    authority: Authority,
    *,
    port: int,
    users: Mapping[str, tuple[str, Path]],
    accounts: Mapping[str, DatabaseSettings],
    more: Mapping[str, Any],
) -> Pod:
    """Beside a server whose accounts are there: `users` by what they are for, their files here."""
    key, other = new_identity(), new_identity()
    code = {
        f"/app/{path.relative_to(_CODE)}": File(path.read_bytes())
        for path in (_CODE / "services").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files = {what: password.read_bytes() for what, (_, password) in users.items()} | {
        "identity": str(key).encode(),
        "other-identity": str(other).encode(),
        "ca": authority.ca_pem,
        "other-ca": trustme.CA().cert_pem.bytes(),
    }
    container = containers.run(
        f"backup-{engine}",
        image,
        ["sleep", "infinity"],
        uid=UID,
        ports=[],
        on_host=True,
        environment={
            # Each action is a process of its own, which would compile it all again.
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": "/tmp/pycache",
            "PYTHONPATH": "/app",
            "HOME": "/tmp",
            "TZ": "Pacific/Auckland",  # nothing may depend on it
        },
        files=code
        | {f"{SECRETS}/{name}": File(text, 0o400, UID) for name, text in files.items()}
        | {path: File(None, 0o700, UID) for path in (BACKUPS, SCRATCH)},
    )
    log_in = {
        what: {"user": user, "password_file": f"{SECRETS}/{what}"}
        for what, (user, _) in users.items()
    }
    server = {"host": "localhost", "port": port, "ca_file": f"{SECRETS}/ca"}
    spec = {
        "server": server | log_in | {"application": [log_in["application"]]},
        "storage": {"kind": "folder", "path": BACKUPS},
        "encryption": {
            "recipients": [str(key.to_public())],
            "identity_file": f"{SECRETS}/identity",
        },
        "scratch": SCRATCH,
        "archive": {"interval_seconds": 1, "http_port": 0},
        **more,
    }
    return Pod(container, engine, spec, accounts)
