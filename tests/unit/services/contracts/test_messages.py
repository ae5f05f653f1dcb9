"""The messages that are committed are those of the contracts, which keep to some of Google's AIPs.
What `buf lint` asks of contracts is in tests/integration/test_contracts.py, with the program."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from google.api import field_behavior_pb2
from google.protobuf import descriptor_pb2

from services.contracts import messages

OUTPUT_ONLY = field_behavior_pb2.FieldBehavior.OUTPUT_ONLY


@cache
def files() -> tuple[descriptor_pb2.FileDescriptorProto, ...]:
    """Our contracts."""
    names = sorted(
        str(path.relative_to(messages.FOLDER)) for path in messages.FOLDER.rglob("*.proto")
    )
    with TemporaryDirectory() as folder:
        out = Path(folder) / "all.binpb"
        messages.run(f"--descriptor_set_out={out}", *names)
        return tuple(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file)


def test_what_is_committed_is_what_the_compiler_makes_of_the_contracts() -> None:
    made, there = messages.made(), messages.there()
    differ = sorted(
        name for name in made.keys() | there.keys() if made.get(name) != there.get(name)
    )
    assert not differ, f"`make docs` makes them anew: {differ}"


def test_a_contract_that_changes_is_noticed(tmp_path: Path) -> None:
    package = tmp_path / "some" / "v1"
    package.mkdir(parents=True)
    (package / "some.proto").write_text('syntax = "proto3"; package some.v1; message One {}')
    messages.write(tmp_path)
    assert set(messages.there(tmp_path)) == {"some/v1/some_pb2.py", "some/v1/some_pb2.pyi"}
    (package / "some.proto").write_text('syntax = "proto3"; package some.v1; message Other {}')
    assert messages.made(tmp_path) != messages.there(tmp_path)
    (package / "some.proto").unlink()
    (package / "new.proto").write_text('syntax = "proto3"; package some.v1; message Other {}')
    messages.write(tmp_path)
    assert messages.there(tmp_path) == messages.made(tmp_path)


def test_a_contract_that_is_none_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.proto").write_text('syntax = "proto3"; message One { missing.Type x = 1; }')
    with pytest.raises(messages.CompilerError):
        messages.write(tmp_path)
    assert '"missing.Type" is not defined' in capfd.readouterr().err


def fields_of(name: str) -> dict[str, Any]:
    [message] = [one for file in files() for one in file.message_type if one.name == name]
    return {field.name: field for field in message.field}


def test_lists_have_pages_and_watches_can_be_resumed() -> None:
    assert {"page_size", "page_token"} <= fields_of("ListTasksRequest").keys()
    assert "next_page_token" in fields_of("ListTasksResponse")
    assert "resume_token" in fields_of("WatchTasksRequest")
    assert {"task", "resume_token"} == fields_of("WatchTasksResponse").keys()
    filters = {"resource_id", "status", "action"}
    assert filters <= fields_of("ListTasksRequest").keys()
    assert filters <= fields_of("WatchTasksRequest").keys()


def test_a_task_is_only_given() -> None:
    for name, field in fields_of("Task").items():
        behaviour = field.options.Extensions[field_behavior_pb2.field_behavior]
        assert list(behaviour) == [OUTPUT_ONLY], name
