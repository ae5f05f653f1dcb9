"""The stack that a rotation works on: what its file says, its update, and its cluster."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from bootstrap import program
from bootstrap.checkout import Checkout, saved_context
from bootstrap.kube import Kube
from infra.model.records import RECORDS, Records
from infra.model.settings import AuthenticationSettings, RotationSettings
from operations.request import FailedError, RefusedError

Say = Callable[[str], None]

_LOOK_SECONDS: Final = 2.0
_SAY_SECONDS: Final = 15.0


@dataclass(frozen=True)
class Stack:
    """One stack of this checkout."""

    checkout: Checkout
    name: str
    kube: Kube
    say: Say
    records: Records = RECORDS
    _updated: list[str] = field(default_factory=list[str], init=False)
    """What the file said at the last update."""

    @property
    def _file(self) -> Path:
        return self.checkout.root / f"Pulumi.{self.name}.yaml"

    @property
    def rotation(self) -> RotationSettings:
        """As the file says now."""
        return RotationSettings.model_validate_json(
            json.dumps(self._section("rotation")), context={"records": self.records}
        )

    @property
    def authentication(self) -> AuthenticationSettings:
        """As the file says now."""
        return AuthenticationSettings.model_validate_json(
            json.dumps(self._section("authentication"))
        )

    def change(self, changes: Mapping[str, str | int | bool | None]) -> None:
        """Write what the file says from now on. All that is set is so at once, or none of it."""
        given = {path: value for path, value in changes.items() if value is not None}
        if given:
            pairs = [f"--plaintext=millrace:{path}={_text(value)}" for path, value in given.items()]
            self._pulumi("config", "set-all", "--path", *pairs)
        for path in changes.keys() - given.keys():
            self._pulumi("config", "rm", "--path", f"millrace:{path}")

    def update(self) -> None:
        """Bring the platform to what the file says, unless this process has just done so."""
        now = self._file.read_text(encoding="utf-8")
        if self._updated == [now]:
            return
        program.select_stack(self.checkout, self.name)
        program.pulumi(
            self.checkout,
            ["up", "--yes", "--skip-preview", "--suppress-progress", "--stack", self.name],
        )
        self._updated[:] = [now]

    def output(self, name: str) -> str:
        """What the program put out at its last update."""
        said = ["stack", "output", name, "--stack", self.name]
        return program.pulumi(self.checkout, said, capture=True)

    def wait(self, what: str, missing: Callable[[], str], seconds: float) -> None:
        """Until nothing is missing any more.

        Args:
            what: it is waited for, for people.
            missing: what of it is not so yet; empty: all is.

        Raises:
            FailedError: it is not so within `seconds`; the same command continues.
        """
        began, said = time.monotonic(), -_SAY_SECONDS
        while lacks := missing():
            waited = time.monotonic() - began
            if waited > seconds:
                raise FailedError(
                    f"{what}: not within {seconds:g} s ({lacks}); nothing was dropped. See to it, "
                    "then the same command continues"
                )
            if waited - said >= _SAY_SECONDS:
                said = waited
                self.say(f"waiting: {what} ({lacks})")
            time.sleep(_LOOK_SECONDS)

    def _section(self, name: str) -> Any:
        document = yaml.safe_load(self._file.read_text(encoding="utf-8"))
        return document["config"].get(f"millrace:{name}") or {}

    def _pulumi(self, *arguments: str) -> None:
        program.pulumi(self.checkout, [*arguments, "--stack", self.name], capture=True)


def current(checkout: Checkout, wanted: str, say: Say) -> Stack:
    """The stack that runs from this checkout. Raises RefusedError when none does."""
    running = saved_context(checkout.state).get("stack")
    name = wanted or running
    if not name:
        raise RefusedError("nothing runs from this checkout yet; run make up")
    if running and name != running and name in program.LOCAL_STACKS:
        raise RefusedError(
            f"STACK={name}, but {running} runs from this checkout, and its cluster would be given "
            f"the other's state; say STACK={running}, or nothing"
        )
    if name not in program.LOCAL_STACKS:
        raise RefusedError(
            f"STACK={name} is no stack of this machine; in its own shell, the runbook "
            "docs/runbooks/rotate-a-secret.md does it by hand"
        )
    return Stack(checkout, str(name), Kube(checkout), say)


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
