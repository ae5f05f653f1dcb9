"""Contracts of the gRPC APIs, held by the real buf against its rules and against every revision."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bootstrap.checkout import find_checkout
from bootstrap.tools import BUF, tool_path
from services.contracts import messages, revisions

CONFIG = messages.FOLDER / "buf.yaml"
TASKS = "millrace/tasks/v1/tasks.proto"


def image(folder: Path, scratch: Path) -> Path:
    """The contracts below a folder as buf takes them, with all that they import: buf by itself
    would ask a registry for what is Google's."""
    out = scratch / f"{folder.name}.binpb"
    parts = ("--include_imports", "--include_source_info", f"--descriptor_set_out={out}")
    messages.run(*parts, *revisions.texts(folder), folder=folder)
    return out


def buf(folder: Path, command: str, scratch: Path, *more: str) -> list[dict[str, Any]]:
    """What a command of buf finds in the contracts below a folder."""
    binary = tool_path(find_checkout(), BUF)
    assert binary.exists(), "buf is not built yet: run make images"
    arguments = [str(image(folder, scratch)), "--config", str(CONFIG), "--error-format", "json"]
    done = subprocess.run(
        [str(binary), command, *arguments, *more],
        env=os.environ | {"BUF_CACHE_DIR": str(scratch)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    # 100 says that something was found, and nothing else does.
    assert done.returncode == (100 if found else 0), done.stderr
    return found


def lint(folder: Path, scratch: Path) -> list[dict[str, Any]]:
    return buf(folder, "lint", scratch)


def breaking(folder: Path, scratch: Path, revision: Path) -> list[dict[str, Any]]:
    """What callers that know the revision stumble over."""
    return buf(folder, "breaking", scratch, "--against", str(image(revision, scratch)))


def edited(scratch: Path, old: str, new: str) -> Path:
    """The contracts with one change, of all places where `old` is."""
    folder = scratch / "edited"
    path = folder / TASKS
    path.parent.mkdir(parents=True)
    text = (messages.FOLDER / TASKS).read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return folder


def test_contracts_keep_to_the_rules(tmp_path: Path) -> None:
    assert lint(messages.FOLDER, tmp_path) == []


@pytest.mark.parametrize("number", revisions.numbers())
def test_callers_of_every_revision_can_go_on(number: int, tmp_path: Path) -> None:
    found = breaking(messages.FOLDER, tmp_path, revisions.FOLDER / str(number))
    assert found == [], f"take it back, or make a package of the next version: {found}"


def test_every_revision_is_asked() -> None:
    """Without one the test above would be left out, and nobody would see it."""
    assert revisions.numbers()


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("int32 attempts = 7", "int64 attempts = 7", "FIELD_SAME_TYPE"),
        ("string error = 6", "string problem = 6", "FIELD_SAME_NAME"),
        ("string error = 6", 'string error = 6 [json_name="e"];//', "FIELD_SAME_JSON_NAME"),
        ("string error = 6", "repeated string error = 6", "FIELD_SAME_CARDINALITY"),
        ("string error = 6", "string error = 16", "FIELD_NO_DELETE"),
        ("TASK_STATUS_FAILED = 4", "TASK_STATUS_FAILED = 5", "ENUM_VALUE_NO_DELETE"),
        ("TASK_STATUS_FAILED = 4", "TASK_STATUS_LOST = 4", "ENUM_VALUE_SAME_NAME"),
        ("rpc ListTasks(", "rpc FindTasks(", "RPC_NO_DELETE"),
        ("(stream WatchTasksResponse)", "(WatchTasksResponse)", "RPC_SAME_SERVER_STREAMING"),
        ("(GetTaskStatusRequest)", "(ListTasksRequest)", "RPC_SAME_REQUEST_TYPE"),
        ("GetTaskStatusRequest", "TaskQuestion", "MESSAGE_NO_DELETE"),
        ("package millrace.tasks.v1;", "package millrace.tasks.v2;", "FILE_SAME_PACKAGE"),
    ],
)
def test_what_callers_would_stumble_over_is_found(
    old: str, new: str, rule: str, tmp_path: Path
) -> None:
    found = breaking(edited(tmp_path, old, new), tmp_path, revisions.FOLDER / "1")
    assert rule in {one["type"] for one in found}, found


def test_a_contract_that_is_gone_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "renamed"
    shutil.copytree(revisions.FOLDER / "1", folder)
    shutil.move(folder / TASKS, (folder / TASKS).with_name("other.proto"))
    found = breaking(folder, tmp_path, revisions.FOLDER / "1")
    assert "FILE_NO_DELETE" in {one["type"] for one in found}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("string error = 6", "// More.\n  string more = 17;\n  string error = 6"),
        ("TASK_STATUS_FAILED = 4;", "TASK_STATUS_FAILED = 4;\n  TASK_STATUS_LOST = 5;"),
        ("}\n\n// How far a task is.", "  // Ends.\n  rpc End(Task) returns (Task);\n}\n//"),
        ("// Work on resources.", "// Work on a resource."),
    ],
)
def test_what_is_added_breaks_nothing(old: str, new: str, tmp_path: Path) -> None:
    assert breaking(edited(tmp_path, old, new), tmp_path, revisions.FOLDER / "1") == []


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("string resource_id = 1", "string resourceId = 1", "FIELD_LOWER_SNAKE_CASE"),
        ("  // It is being worked on.\n", "", "COMMENT_ENUM_VALUE"),
        ("  // Its id.\n", "", "COMMENT_FIELD"),
        ("TASK_STATUS_FAILED = 4", "FAILED = 4", "ENUM_VALUE_PREFIX"),
        ("TASK_STATUS_UNSPECIFIED", "TASK_STATUS_ANY", "ENUM_ZERO_VALUE_SUFFIX"),
        ("service TaskService", "service Tasks", "SERVICE_SUFFIX"),
        ("(GetTaskStatusRequest)", "(ListTasksRequest)", "RPC_REQUEST_RESPONSE_UNIQUE"),
        ("GetTaskStatusRequest", "TaskQuestion", "RPC_REQUEST_STANDARD_NAME"),
        ("package millrace.tasks.v1;", "package millrace.tasks;", "PACKAGE_VERSION_SUFFIX"),
        ("package millrace.tasks.v1;", "package millrace.tasks.v2;", "PACKAGE_DIRECTORY_MATCH"),
    ],
)
def test_what_is_against_the_rules_is_found(old: str, new: str, rule: str, tmp_path: Path) -> None:
    found = lint(edited(tmp_path, old, new), tmp_path)
    assert rule in {one["type"] for one in found}, found
    assert {one["path"] for one in found} == {TASKS}


def test_a_contract_excuses_itself_from_no_rule(tmp_path: Path) -> None:
    excused = "// buf:lint:ignore FIELD_LOWER_SNAKE_CASE\n  string resourceId = 2"
    [found] = lint(edited(tmp_path, "string resource_id = 2", excused), tmp_path)
    assert found["type"] == "FIELD_LOWER_SNAKE_CASE"
