"""Takes rotations from where the stack's file says they stand to their end."""

import fcntl
import getpass
import json
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Final

from infra.model.operations import operation
from operations import jobs
from operations.jobs import NAMESPACE
from operations.request import RefusedError
from operations.rotate.kind import Kind, Phase, Value
from operations.rotate.stack import Stack

_LOG: Final = "rotations.jsonl"


def rotate(stack: Stack, secrets: Mapping[str, Kind]) -> None:
    """Begin, or go on with what was begun, of all secrets given, side by side.

    Side by side, as most of the time goes into updates: one does for all that are as far. What the
    file says is changed before each phase's work, so a run that ends at any point is continued by
    another.

    Raises:
        RefusedError: something else is at work.
        FailedError: a condition is not met in time.
    """
    with _alone(stack):
        _refuse_beside(stack)
        secrets = _begun(stack, secrets)
        _begin(stack, secrets)
        try:
            while due := {secret: phase for secret, kind in secrets.items()
                          if (phase := kind.due(stack, secret))}:  # fmt: skip
                _work(stack, due)
        except BaseException as error:  # Ctrl-C, too: who reads the lines sees where it ended
            for secret, kind in secrets.items():
                why = str(error) or type(error).__name__
                _audit(stack, secret, f"ended early: {why[:300]}", kind.phase(stack, secret))
            raise
        for secret, kind in secrets.items():
            _audit(stack, secret, "done", f"generation {kind.generation(stack, secret)}")


def _begun(stack: Stack, secrets: Mapping[str, Kind]) -> Mapping[str, Kind]:
    """Those in the middle of a rotation, if there are any: of the others nothing tells whether they
    were begun together with these and are done."""
    begun = {secret: kind for secret, kind in secrets.items() if kind.phase(stack, secret)}
    if begun and len(begun) < len(secrets):
        stack.say(
            f"{', '.join(begun)}: in the middle of a rotation, which is taken to its end; the same "
            "command once more replaces the rest as well"
        )
    return begun or secrets


def _begin(stack: Stack, secrets: Mapping[str, Kind]) -> None:
    changes: dict[str, Value] = {}
    for secret, kind in secrets.items():
        if phase := kind.phase(stack, secret):
            stack.say(f"{secret} is in the middle of a rotation ({phase}): going on from there")
            _audit(stack, secret, "continued", phase)
        else:
            changes |= kind.begin(stack, secret)
            _audit(stack, secret, "begun", kind.phases[0].name)
    stack.change(changes)


def _work(stack: Stack, due: Mapping[str, Phase]) -> None:
    """A phase of each, and then what the file says next: of all at once."""
    for steps in zip_longest(*(
        [(secret, phase, step) for step in phase.steps] for secret, phase in due.items()
    )):  # fmt: skip
        for secret, phase, step in filter(None, steps):
            step.do(stack, secret)
            _audit(stack, secret, step.name, phase.name)
    changes: dict[str, Value] = {}
    for secret, phase in due.items():
        changes |= phase.then(stack, secret)
    stack.change(changes)


@contextmanager
def _alone(stack: Stack) -> Generator[None]:
    """The lock goes with the process, however that ends."""
    path = stack.checkout.state / "rotation.lock"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(
                "another rotation runs from this checkout; one at a time: wait until it is over"
            ) from None
        yield


def _refuse_beside(stack: Stack) -> None:
    """Backups and restores hold connections, and compare what they find."""
    by_hand = {operation(server) for server in stack.records.servers}
    for item in stack.kube.items("jobs", NAMESPACE):
        labels = item["metadata"].get("labels", {})
        asked = item["metadata"]["name"] in by_hand
        if not asked and labels.get("app.kubernetes.io/component") != "backup":
            continue
        job = jobs.seen(item)
        if not job.over:
            raise jobs.refuse_beside(job, datetime.now(UTC))


def _audit(stack: Stack, secret: str, outcome: str, phase: str) -> None:
    line = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": f"{getpass.getuser()}@{socket.gethostname()}",
        "what": f"rotate {secret} of {stack.name}",
        "phase": phase,
        "outcome": outcome,
    }
    text = json.dumps(line)
    with (stack.checkout.logs / _LOG).open("a", encoding="utf-8") as file:
        file.write(text + "\n")
    stack.say(text)
