import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from bootstrap import program
from bootstrap.checkout import Checkout
from bootstrap.steps import StepFailed

STACK_FILE = """\
# A comment that explains.
config:
  millrace:kafka: {} # one broker
  millrace:protect: false
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    for stack in program.LOCAL_STACKS:
        (tmp_path / f"Pulumi.{stack}.yaml").write_text(STACK_FILE)
    made = Checkout(tmp_path, tmp_path / "cache")
    made.make_state()
    return made


def lock(checkout: Checkout, host: str, pid: int) -> Path:
    folder = checkout.state / "state/.pulumi/locks/organization/millrace/airgap"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{pid}.json"
    path.write_text(json.dumps({"pid": pid, "hostname": host, "username": "somebody"}))
    return path


def a_pid_that_is_gone() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_what_pulumi_leaves_in_a_stack_file_is_taken_out_and_edits_stay(checkout: Checkout) -> None:
    path = checkout.root / "Pulumi.airgap.yaml"
    edited = STACK_FILE.replace("{} # one broker", '{heap: "true"} # edited meanwhile')
    path.write_text(edited.replace("false", '"false"') + "encryptionsalt: v1:abc=:v1:def:ghi\n")
    program.tidy_stack_files(checkout)
    assert path.read_text() == edited


def test_the_lock_of_a_killed_update_is_released(checkout: Checkout) -> None:
    path = lock(checkout, socket.gethostname(), a_pid_that_is_gone())
    program.release_dead_locks(checkout, "airgap")
    assert not path.exists()


def test_the_lock_of_a_running_update_or_of_another_machine_is_kept(checkout: Checkout) -> None:
    running = lock(checkout, socket.gethostname(), os.getpid())
    elsewhere = lock(checkout, "another-machine", a_pid_that_is_gone())
    program.release_dead_locks(checkout, "airgap")
    assert running.exists()
    assert elsewhere.exists()


def test_state_of_a_stack_that_is_not_local_is_noticed(checkout: Checkout) -> None:
    stacks = checkout.state / "state/.pulumi/stacks/millrace"
    stacks.mkdir(parents=True)
    for name in ("airgap.json", "airgap.json.bak", "prod.json"):
        (stacks / name).write_text("{}")
    assert program.foreign_stacks(checkout) == ["prod"]
    program.forget_stack(checkout, "airgap")
    assert [path.name for path in stacks.iterdir()] == ["prod.json"]


def test_a_stack_without_a_file_is_named_with_those_there_are(checkout: Checkout) -> None:
    with pytest.raises(StepFailed, match=r"no Pulumi\.nope\.yaml.*airgap.*dev"):
        program.select_stack(checkout, "nope")


def test_pulumi_before_the_tools_are_built_names_the_way_out(checkout: Checkout) -> None:
    with pytest.raises(StepFailed, match="run make up"):
        program.pulumi(checkout, ["version"])
