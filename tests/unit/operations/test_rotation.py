"""A rotation from phase to phase, killed at every point and continued."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from infra.model.records import RECORDS
from operations.request import FailedError, RefusedError
from operations.rotate import holders, kinds, passwords
from operations.rotate.rotation import rotate
from operations.rotate.stack import Stack

SECRET = "postgres-restdb"


class CrashError(Exception):
    """As if the process had been killed there."""


class Cluster:
    """What a rotation asks of one that has no Jobs but those given."""

    def __init__(self, *jobs: dict[str, Any]) -> None:
        self.jobs = list(jobs)

    def items(self, kind: str, _namespace: str) -> list[Any]:
        return self.jobs if kind == "jobs" else []

    def run(self, *_args: str, **_more: Any) -> str:
        return ""

    def sql(self, *_args: str, **_more: Any) -> list[Any]:
        return []


@dataclass(frozen=True)
class FileStack(Stack):
    """Writes the stack's file itself, and notes what it was asked to do; may die at any of it."""

    did: list[str] = field(default_factory=list)
    lives: list[int] = field(default_factory=lambda: [10**6])

    def change(self, changes: Mapping[str, str | int | bool | None]) -> None:
        self._die()
        path = self.checkout.root / f"Pulumi.{self.name}.yaml"
        document = yaml.safe_load(path.read_text())
        for dotted, value in changes.items():
            *folders, key = dotted.split(".")
            place = document["config"]
            folders[0] = f"millrace:{folders[0]}"
            for folder in folders:
                place = place.setdefault(folder, {})
            if value is None:
                del place[key]
            else:
                place[key] = value
        path.write_text(yaml.safe_dump(document))
        self._die()

    def update(self) -> None:
        self._die()
        said = self.rotation.of(SECRET)
        self.did.append(f"up {said.generation} {said.previous}")
        self._die()

    def wait(self, what: str, missing: Any, seconds: float) -> None:
        self._die()
        assert missing() == ""
        assert seconds > 0
        self.did.append(what)
        self._die()

    def _die(self) -> None:
        self.lives[0] -= 1
        if self.lives[0] == 0:
            raise CrashError


@pytest.fixture
def stack(tmp_path: Path) -> FileStack:
    return made(tmp_path)


def made(folder: Path, *jobs: dict[str, Any]) -> FileStack:
    (folder / "Pulumi.airgap.yaml").write_text("config:\n  millrace:rotation: {}\n")
    checkout = Checkout(folder, folder)
    checkout.make_state()
    kube = cast("Kube", Cluster(*jobs))
    said: list[str] = []
    return FileStack(checkout, "airgap", kube, said.append)


def run(stack: FileStack) -> None:
    rotate(stack, kinds.chosen(SECRET, RECORDS))


WHOLE = [
    "up 2 accepted",
    "every pod that mounts postgres-restdb has the new one",
    "nobody is logged in as restdb any more",
    "up 2 refused",
    "up 2 forgotten",
]


def test_the_old_one_is_dropped_after_everybody_has_the_new_one(stack: FileStack) -> None:
    run(stack)
    assert stack.did == WHOLE
    said = stack.rotation.of(SECRET)
    assert (said.generation, said.previous) == (2, None)


def test_the_next_rotation_waits_for_the_other_login(stack: FileStack) -> None:
    run(stack)
    run(stack)
    assert "nobody is logged in as restdb_b any more" in stack.did
    assert stack.rotation.of(SECRET).generation == 3


def test_one_that_is_killed_at_any_point_is_continued_and_none_is_begun_twice(
    tmp_path: Path,
) -> None:
    for point in range(1, 100):
        folder = tmp_path / str(point)
        folder.mkdir()
        stack = made(folder)
        stack.lives[0] = point
        try:
            run(stack)
        except CrashError:
            stack.lives[0] = 10**6
        else:
            assert point > len(WHOLE)
            return
        begun, over = bool(stack.rotation.passwords), stack.rotation.of(SECRET).previous is None
        if begun and over:
            # All was done but for the last words.
            assert stack.did == WHOLE
            continue
        run(stack)
        said = stack.rotation.of(SECRET)
        assert (said.generation, said.previous) == (2, None), f"killed at {point}"
        # What was under way is done again from the phase it was in; nothing is left out.
        assert list(dict.fromkeys(stack.did)) == WHOLE, f"killed at {point}"
    raise AssertionError("it never came to its end")


def test_every_step_leaves_a_line_that_can_be_read_afterwards(stack: FileStack) -> None:
    run(stack)
    lines = (stack.checkout.logs / "rotations.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert [line["outcome"] for line in told][:2] == [
        "begun",
        "the server accepts both, clients are given the new one",
    ]
    assert (told[-1]["outcome"], told[-1]["phase"]) == ("done", "generation 2")
    assert all({"when", "who", "what"} <= line.keys() for line in told)


def test_one_that_ends_early_leaves_a_line_that_says_so_and_why(stack: FileStack) -> None:
    stack.lives[0] = 4
    with pytest.raises(CrashError):
        run(stack)
    lines = (stack.checkout.logs / "rotations.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert last["outcome"] == "ended early: CrashError"
    assert last["phase"] == "accepted"


def test_beside_a_restore_nothing_is_begun(tmp_path: Path) -> None:
    job = {
        "metadata": {
            "name": "postgres-operation",
            "uid": "1",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "annotations": {"millrace.dev/operation": "restore of restdb"},
        }
    }
    stack = made(tmp_path, job)
    with pytest.raises(RefusedError, match="restore of restdb has been running"):
        run(stack)
    assert stack.rotation.passwords == {}


def test_a_second_one_beside_it_is_refused(stack: FileStack, tmp_path: Path) -> None:
    other = FileStack(Checkout(tmp_path, tmp_path), "airgap", stack.kube, print)

    class Meanwhile(Cluster):
        def items(self, kind: str, _namespace: str) -> list[Any]:
            with pytest.raises(RefusedError, match="another rotation runs"):
                run(other)
            return super().items(kind, _namespace)

    object.__setattr__(stack, "kube", cast("Kube", Meanwhile()))
    run(stack)


def test_what_is_not_so_in_time_says_what_is_missing_and_that_nothing_was_dropped(
    stack: FileStack,
) -> None:
    with pytest.raises(FailedError, match=r"clients: not within 0 s \(pod-1\); nothing was dropp"):
        Stack.wait(stack, "clients", lambda: "pod-1", 0)


def test_an_unknown_secret_is_refused_with_those_there_are() -> None:
    with pytest.raises(RefusedError, match=r"no secret 'restdb'; known: .*postgres-restdb"):
        kinds.chosen("restdb", RECORDS)


def test_many_are_named_by_name_by_kind_or_all_together() -> None:
    known = dict(kinds.all_secrets(RECORDS))
    mysql = {name for name, kind in known.items() if kind.name == "mysql"}
    assert kinds.chosen("all", RECORDS).keys() == known.keys()
    assert kinds.chosen(f"mysql,{SECRET}", RECORDS).keys() == {*mysql, SECRET}


def test_many_go_side_by_side(stack: FileStack) -> None:
    other = "postgres-workerdb"
    rotate(stack, kinds.chosen(f"{SECRET},{other}", RECORDS))
    for name in (SECRET, other):
        said = stack.rotation.of(name)
        assert (said.generation, said.previous) == (2, None), name


def test_what_was_begun_is_ended_first_and_what_is_done_is_not_begun_again(
    stack: FileStack,
) -> None:
    other = "postgres-workerdb"
    stack.change({f"rotation.passwords.{other}.generation": 2})
    stack.change({f"rotation.passwords.{other}.previous": "refused"})
    rotate(stack, kinds.chosen(f"{SECRET},{other}", RECORDS))
    assert stack.rotation.of(other).generation == 2
    assert stack.rotation.of(other).previous is None
    assert stack.rotation.of(SECRET).generation == 1


def test_every_password_of_a_database_can_be_rotated() -> None:
    known = dict(kinds.all_secrets(RECORDS))
    for server in RECORDS.servers:
        if server.engine in ("mysql", "postgres"):
            wanted = {n for n in RECORDS.passwords() if n.startswith(f"{server.name}-")}
            assert {n for n in known if n.startswith(f"{server.name}-")} == wanted
            assert {known[name].name for name in wanted} == {server.engine}


def test_only_pods_that_mount_the_secret_and_are_not_over_hold_it() -> None:
    def pod(name: str, secret: str, phase: str = "Running") -> dict[str, Any]:
        return {
            "metadata": {"name": name, "namespace": "apps"},
            "status": {"phase": phase},
            "spec": {
                "volumes": [{"name": "v", "secret": {"secretName": secret}}, {"name": "tmp"}],
                "containers": [
                    {"name": "c", "volumeMounts": [{"name": "v", "mountPath": "/etc/x"}]}
                ],
            },
        }

    pods = [pod("a", SECRET), pod("b", "other"), pod("c", SECRET, "Succeeded")]
    assert [(h.pod, h.container, h.path) for h in holders.holders(pods, SECRET)] == [
        ("a", "c", "/etc/x")
    ]


def test_the_phases_are_those_that_the_stack_file_knows() -> None:
    kind = passwords.kind("any", lambda _: [])
    assert [phase.name for phase in kind.phases] == ["accepted", "refused", "forgotten"]
