"""A small Pulumi project in a folder of its own, driven by the real CLI with the stand-ins."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bootstrap.checkout import find_checkout
from bootstrap.standins.launchers import write_launchers
from tests.integration.containers import TestEnvironmentError

TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Result:
    """What a command answered."""

    code: int
    output: str


@dataclass
class Project:
    """One project with one stack, ``dev``, and a state that nobody else sees."""

    folder: Path
    tools: Path
    environment: Mapping[str, str]
    config: dict[str, str] = field(default_factory=dict)

    def program(self, text: str) -> None:
        (self.folder / "__main__.py").write_text(text)

    def command(self, *arguments: str) -> list[str]:
        return ["pulumi", *arguments, "--non-interactive", "--color=never"]

    def run(self, *arguments: str) -> Result:
        """Any exit code."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        return Result(done.returncode, done.stdout)

    def must(self, *arguments: str) -> str:
        """Exit code 0, or the test fails with the output."""
        done = self.run(*arguments)
        assert done.code == 0, f"pulumi {' '.join(arguments)}: exit {done.code}\n{done.output}"
        return done.output

    def up(self) -> str:
        return self.must("up", "--yes", "--skip-preview", *self._config())

    def up_fails(self) -> str:
        done = self.run("up", "--yes", "--skip-preview", *self._config())
        assert done.code != 0, done.output
        return done.output

    @contextmanager
    def interrupted_up(self) -> Iterator[subprocess.Popen[str]]:
        """An update in a session of its own, to be interrupted by the test with `interrupt`."""
        with subprocess.Popen(
            self.command("up", "--yes", "--skip-preview", *self._config()),
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as update:
            try:
                yield update
            finally:
                if update.poll() is None:
                    os.killpg(update.pid, signal.SIGKILL)

    def preview(self, *arguments: str) -> Result:
        return self.run("preview", *arguments, *self._config())

    def steps(self) -> dict[str, str]:
        """Resource name to what a preview would do with it."""
        done = self.preview("--json")
        assert done.code == 0, done.output
        found = json.loads(done.output[done.output.index("{") :])
        return {step["urn"].rsplit("::", 1)[-1]: step["op"] for step in found.get("steps", [])}

    def unchanged(self) -> None:
        """A preview finds nothing to do."""
        done = self.preview("--expect-no-changes")
        assert done.code == 0, done.output

    def outputs(self) -> dict[str, Any]:
        return json.loads(self.must("stack", "output", "--json", "--show-secrets"))

    def exported(self) -> str:
        """The state as it is stored: secrets are ciphertext in it."""
        return self.must("stack", "export")

    def resources(self) -> dict[str, dict[str, Any]]:
        """Name to resource, without providers and the stack itself."""
        found = json.loads(self.exported())["deployment"].get("resources", [])
        return {
            item["urn"].rsplit("::", 1)[-1]: item
            for item in found
            if not item["type"].startswith("pulumi:")
        }

    def pending(self) -> list[Any]:
        return json.loads(self.exported())["deployment"].get("pending_operations") or []

    def _config(self) -> list[str]:
        return [part for k, v in self.config.items() for part in ("--config", f"{k}={v}")]


def interrupt(update: subprocess.Popen[str]) -> str:
    """Ctrl-C: what the command says until it has ended, not with exit code 0."""
    os.killpg(update.pid, signal.SIGINT)
    shown, _ = update.communicate(timeout=TIMEOUT_SECONDS)
    assert update.returncode != 0
    for noise in ("Traceback", "KeyboardInterrupt", "exited prematurely"):
        assert noise not in shown
    return shown


def find_cli() -> Path:
    """The Pulumi CLI of this checkout, else the one on PATH."""
    own = find_checkout().bin / "pulumi"
    found = own if own.exists() else shutil.which("pulumi")
    if not found:
        raise TestEnvironmentError(
            "there is no Pulumi CLI: run `make tools`, which builds it, or put one on PATH"
        )
    return Path(found)


def make_project(folder: Path) -> Project:
    """A new project below ``folder``, with launch scripts of its own first on PATH."""
    tools, home, state = folder / "bin", folder / "home", folder / "state"
    program = folder / "program"
    for path in (tools, home, state, program):
        path.mkdir()
    (tools / "pulumi").symlink_to(find_cli().resolve())
    write_launchers(tools, Path(sys.executable), find_checkout().root)
    (program / "Pulumi.yaml").write_text("name: trial\nruntime: python\n")
    # No other plugin than those in `tools`, whatever the shell that runs the tests offers.
    others = [p for p in os.environ["PATH"].split(os.pathsep) if not list(Path(p).glob("pulumi-*"))]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PULUMI_")} | {
        "PATH": os.pathsep.join([str(tools), *others]),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "for this test only",
        "PULUMI_HOME": str(home),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # A plugin that is missing is an error, never a download.
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    project = Project(program, tools, environment)
    project.must("stack", "init", "dev")
    return project
