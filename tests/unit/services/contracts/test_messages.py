"""The messages that are committed are those of the contracts, and contracts keep to their rules:
those of `buf lint` (STANDARD), which is a program of its own, and some of Google's AIPs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from google.api import field_behavior_pb2
from google.protobuf import descriptor_pb2

from services.contracts import messages

SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
PASCAL = re.compile(r"([A-Z][a-z0-9]*)+")
OUTPUT_ONLY = field_behavior_pb2.FieldBehavior.OUTPUT_ONLY


@cache
def files() -> tuple[descriptor_pb2.FileDescriptorProto, ...]:
    """Our contracts, with their comments."""
    names = sorted(
        str(path.relative_to(messages.FOLDER)) for path in messages.FOLDER.rglob("*.proto")
    )
    with TemporaryDirectory() as folder:
        out = Path(folder) / "all.binpb"
        messages.run("--include_source_info", f"--descriptor_set_out={out}", *names)
        return tuple(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file)


def elements(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """The path of everything that is declared, as comments have it, and its name."""
    for i, message in enumerate(file.message_type):
        nested = [*message.nested_type, *message.enum_type, *message.oneof_decl]
        assert not nested, "these are to be looked into, too"
        yield (4, i), message.name
        for j, field in enumerate(message.field):
            yield (4, i, 2, j), f"{message.name}.{field.name}"
    for i, enum in enumerate(file.enum_type):
        yield (5, i), enum.name
        for j, value in enumerate(enum.value):
            yield (5, i, 2, j), f"{enum.name}.{value.name}"
    for i, service in enumerate(file.service):
        yield (6, i), service.name
        for j, method in enumerate(service.method):
            yield (6, i, 2, j), f"{service.name}.{method.name}"


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


def test_everything_has_a_comment() -> None:
    for file in files():
        said: dict[tuple[int, ...], str] = {
            tuple(place.path): place.leading_comments for place in file.source_code_info.location
        }
        bare = [name for path, name in elements(file) if not said.get(path, "").strip()]
        assert not bare, f"{file.name}: say what it is: {bare}"


def test_a_file_lies_where_its_package_says_and_the_package_has_a_version() -> None:
    assert files()
    for file in files():
        assert Path(file.name).parent == Path(*file.package.split("."))
        assert re.fullmatch(r"[a-z0-9.]+\.v[0-9]+", file.package)


def test_names_are_of_the_usual_form() -> None:
    for file in files():
        for message in file.message_type:
            assert PASCAL.fullmatch(message.name)
            assert all(SNAKE.fullmatch(field.name) for field in message.field), message.name
        for enum in file.enum_type:
            prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"
            assert enum.value[0].name == f"{prefix}UNSPECIFIED"
            assert enum.value[0].number == 0
            assert all(value.name.startswith(prefix) for value in enum.value)
        assert all(service.name.endswith("Service") for service in file.service)


def test_each_method_has_a_request_and_a_response_of_its_own() -> None:
    used: list[str] = []
    for file in files():
        for service in file.service:
            for method in service.method:
                name = f".{file.package}.{method.name}"
                assert method.input_type == f"{name}Request"
                assert method.output_type == f"{name}Response"
                used += [method.input_type, method.output_type]
    assert len(used) == len(set(used))


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
