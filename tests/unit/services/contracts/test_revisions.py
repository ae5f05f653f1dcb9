"""Revisions of contracts stay what they are, and the newest is what the contracts say."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from services.contracts import messages
from services.contracts.released import SUMS
from services.contracts.revisions import FOLDER, RevisionError, check, numbers, write

CONTRACT = """syntax = "proto3";
package some.v1;
// What is said.
message One {
  // Its name.
  string name = 1;
}
"""
NAME = "some/v1/some.proto"


class World:
    """A contract, and revisions of it."""

    def __init__(self, folder: Path) -> None:
        self.contracts, self.folder = folder / "contracts", folder / "revisions"
        self.file = self.contracts / NAME
        self.file.parent.mkdir(parents=True)
        self.file.write_text(CONTRACT)

    def check(self) -> list[str]:
        return check(self.contracts, self.folder)

    def write(self) -> None:
        write(self.contracts, self.folder)
        assert self.check() == []

    def edit(self, old: str, new: str, path: Path | None = None) -> None:
        path = path or self.file
        before = path.read_text()
        assert before != before.replace(old, new)
        path.write_text(before.replace(old, new))

    def refused(self) -> list[str]:
        """What is found; writing says the same, and leaves everything as it is."""
        found, before = self.check(), self.there()
        with pytest.raises(RevisionError) as caught:
            write(self.contracts, self.folder)
        assert str(caught.value).splitlines() == found
        assert self.there() == before
        return found

    def there(self) -> dict[str, str]:
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_text() for path in files}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_is_committed_is_whole_and_says_what_the_contracts_say() -> None:
    assert check() == []


def test_the_first_revision_is_a_copy_with_its_checksum(world: World) -> None:
    [missing] = world.check()
    assert "there is no revision" in missing
    assert "run `.venv/bin/python -m services.contracts.revisions`" in missing
    world.write()
    there = world.there()
    assert there.keys() == {f"1/{NAME}", SUMS}
    assert there[f"1/{NAME}"] == CONTRACT
    assert there[SUMS].endswith(f"  1/{NAME}\n")


def test_a_contract_that_says_something_new_gets_a_revision_beside_the_others(world: World) -> None:
    world.write()
    first = world.there()
    world.edit("string name = 1;", "string name = 1;\n  // Its size.\n  int32 size = 2;")
    [found] = world.check()
    assert found.startswith("the contracts say something else than revision 1; run")
    world.write()
    second = world.there()
    assert second.keys() - first.keys() == {f"2/{NAME}"}
    assert second[f"1/{NAME}"] == CONTRACT
    assert second[SUMS].startswith(first[SUMS])
    assert numbers(world.folder) == [1, 2]


def test_a_second_contract_is_a_revision_of_both(world: World) -> None:
    world.write()
    (world.file.parent / "other.proto").write_text(CONTRACT.replace("One", "Other"))
    world.write()
    assert {"2/some/v1/other.proto", f"2/{NAME}"} <= world.there().keys()


def test_other_words_are_of_the_newest_revision_and_make_none(world: World) -> None:
    world.write()
    world.edit("What is said.", "What is said of one.")
    assert world.check() == [
        "revision 1 has not the words of the contracts; run"
        " `.venv/bin/python -m services.contracts.revisions`"
    ]
    world.write()
    assert numbers(world.folder) == [1]
    assert "What is said of one." in world.there()[f"1/{NAME}"]


def test_ten_comes_after_nine(world: World) -> None:
    for number in range(1, 12):
        world.write()
        world.edit("}\n", f"  // One more.\n  string more_{number} = {number + 1};\n}}\n")
    assert numbers(world.folder) == [*range(1, 12)]


def test_a_revision_that_was_edited_is_refused(world: World) -> None:
    world.write()
    world.edit("Its name.", "Its only name.", world.folder / "1" / NAME)
    [found] = world.refused()
    assert found.startswith(f"1/{NAME} was edited, and is released; restore it (`git restore")


def test_a_revision_that_is_gone_is_refused(world: World) -> None:
    world.write()
    shutil.rmtree(world.folder / "1")
    [found] = world.refused()
    assert found.startswith(f"1/{NAME} is released and gone; restore it")


def test_a_revision_without_its_checksum_is_refused(world: World) -> None:
    world.write()
    shutil.copytree(world.folder / "1", world.folder / "2")
    [found] = world.refused()
    assert found.startswith(f"2/{NAME} has no line in SHA256SUMS, so it was never released")


def test_a_file_of_no_revision_is_refused(world: World) -> None:
    world.write()
    shutil.copyfile(world.file, world.folder / "some.proto")
    [found] = world.refused()
    assert found == "some.proto is of no revision; remove it and its line in SHA256SUMS"


def test_a_contract_that_the_compiler_refuses_is_no_revision(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.write()
    before = world.there()
    world.edit("string name", "missing.Type name")
    with pytest.raises(messages.CompilerError):
        write(world.contracts, world.folder)
    assert world.there() == before
    assert '"missing.Type" is not defined' in capfd.readouterr().err


def test_a_revision_that_was_never_there_is_missed(world: World) -> None:
    world.write()
    world.edit("string name = 1;", "string name = 1;\n  // Its size.\n  int32 size = 2;")
    world.write()
    shutil.rmtree(world.folder / "1")
    sums = world.folder / SUMS
    sums.write_text(sums.read_text().splitlines(keepends=True)[1])
    [found] = world.refused()
    assert found.startswith("revision 1 is missing, and later ones are not; restore it")


def test_the_program_writes_nothing_where_nothing_is_new() -> None:
    before = {path: path.stat().st_mtime_ns for path in FOLDER.rglob("*")}
    command = [sys.executable, "-m", "services.contracts.revisions"]
    assert subprocess.run(command, check=False).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in FOLDER.rglob("*")} == before
