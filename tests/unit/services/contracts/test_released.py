"""Released versions stay what they are, and what comes after them can be read beside them."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from services.contracts.released import SUMS
from services.contracts.schemas import FOLDER, ContractError, check, write

EVENT = "order.placed"


class Order(BaseModel):
    """An order."""

    id: str
    note: str | None = None


class WithTags(Order):
    """An order."""

    tags: list[str] = []


class WithTagsRequired(Order):
    tags: list[str]


class WithNumbers(Order):
    tags: list[int] = []


class WithNoteRequired(BaseModel):
    """An order."""

    id: str
    note: str | None


class WithShortId(Order):
    id: Annotated[str, Field(max_length=5)]


class WithoutNote(BaseModel):
    id: str


class ToldOtherwise(BaseModel):
    """What was ordered."""

    note: str | None = Field(None, description="Whatever the client says.")
    id: str


Model = type[BaseModel]


def at(version: int, model: Model) -> dict[str, Any]:
    return {"models": {EVENT: model}, "versions": {EVENT: version}}


def released(folder: Path, *models: Model) -> dict[str, str]:
    """Release a version of each model; what lies in the folder then."""
    for version, model in enumerate(models, start=1):
        write(folder, **at(version, model))
    assert not models or check(folder, **at(len(models), models[-1])) == []
    return contents(folder)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def refused(folder: Path, version: int, model: Model) -> list[str]:
    """What check says; writing says the same, and leaves everything as it is."""
    before, found = contents(folder), check(folder, **at(version, model))
    with pytest.raises(ContractError) as caught:
        write(folder, **at(version, model))
    assert str(caught.value).splitlines() == found
    assert contents(folder) == before
    return found


def test_the_first_version_is_written_with_its_checksum(tmp_path: Path) -> None:
    [unwritten] = check(tmp_path / "new", **at(1, Order))
    assert unwritten.startswith("order.placed: order.placed.v1.schema.json is not what the model")
    assert "run `.venv/bin/python -m services.contracts.schemas`" in unwritten
    made = released(tmp_path / "new", Order)
    assert set(made) == {(name := "order.placed.v1.schema.json"), SUMS}
    assert made[SUMS] == f"{hashlib.sha256(made[name].encode()).hexdigest()}  {name}\n"


def test_a_compatible_version_lies_beside_the_one_before_which_stays(tmp_path: Path) -> None:
    first = released(tmp_path, Order)
    second = released(tmp_path, Order, WithTags)
    assert second.keys() - first.keys() == {"order.placed.v2.schema.json"}
    assert second["order.placed.v1.schema.json"] == first["order.placed.v1.schema.json"]
    assert second[SUMS].startswith(first[SUMS])


def test_a_model_that_changes_without_a_new_version_is_refused(tmp_path: Path) -> None:
    released(tmp_path, Order)
    assert refused(tmp_path, 1, WithTags) == [
        "order.placed: field tags: is new, and version 1 is released; take it back, or say 2 in"
        " VERSIONS of services/contracts/payloads.py, and run"
        " `.venv/bin/python -m services.contracts.schemas`"
    ]
    [default, change, broken] = refused(tmp_path, 1, WithNoteRequired)
    assert "field note: default was null and is not said, and version 1 is released" in default
    assert change.startswith("order.placed: field note: is required now, and version 1 is released")
    assert "field note: may be left out, where it is required" in broken
    [gone] = refused(tmp_path, 1, WithoutNote)
    assert gone.startswith("order.placed: field note: is gone, and version 1 is released")
    [change, broken] = refused(tmp_path, 1, WithShortId)
    assert "field id: maxLength was not said and is 5, and version 1 is released" in change
    assert "field id: maxLength is not said, where 5 is read" in broken


def test_a_change_is_named_by_its_field_however_deep(tmp_path: Path) -> None:
    released(tmp_path, WithTags)
    change = refused(tmp_path, 1, WithNumbers)[0]
    assert 'field tags[]: type was "string" and is "integer", and version 1 is' in change


def test_a_new_version_that_is_not_compatible_is_refused(tmp_path: Path) -> None:
    released(tmp_path, Order)
    assert refused(tmp_path, 2, WithTagsRequired) == [
        "order.placed: field tags: is not there, where it is required: who knows this model cannot"
        " read messages of version 1; give it a default, so that it is not required"
    ]
    [narrowed] = refused(tmp_path, 2, WithShortId)
    assert "who knows this model cannot read messages of version 1; leave the field as" in narrowed


def test_what_readers_rely_on_may_not_go(tmp_path: Path) -> None:
    released(tmp_path, WithoutNote)

    class Nothing(BaseModel):
        number: int = 0

    [gone] = refused(tmp_path, 2, Nothing)
    assert gone.startswith("order.placed: field id: is not there, where it is required:")
    assert "who knows version 1 cannot read messages of this model; keep it" in gone


def test_a_version_is_held_against_all_before_it_not_only_the_last(tmp_path: Path) -> None:
    released(tmp_path, Order, WithoutNote)

    class NoteAsNumber(BaseModel):
        id: str
        note: int = 0

    found = refused(tmp_path, 3, NoteAsNumber)
    assert {re.findall(r"version (\d)", it)[0] for it in found} == {"1"}
    assert all(it.startswith("order.placed: field note: may be") for it in found)


def test_a_released_file_that_is_edited_is_refused_whichever_it_is(tmp_path: Path) -> None:
    before = released(tmp_path, Order, WithTags)
    for version in (1, 2):
        path = tmp_path / f"order.placed.v{version}.schema.json"
        path.write_text(before[path.name].replace("An order.", "A order."), encoding="utf-8")
        [found] = refused(tmp_path, 2, WithTags)
        assert found.startswith(f"order.placed: {path.name} was edited, and is released")
        assert "git restore docs/events" in found
        path.write_text(before[path.name], encoding="utf-8")


def test_a_released_file_that_goes_is_missed(tmp_path: Path) -> None:
    before = released(tmp_path, Order, WithTags)
    (tmp_path / "order.placed.v1.schema.json").unlink()
    [gone] = refused(tmp_path, 2, WithTags)
    assert "order.placed.v1.schema.json is released and gone; restore it" in gone
    lines = before[SUMS].splitlines(keepends=True)
    (tmp_path / SUMS).write_text(lines[1], encoding="utf-8")
    [gap] = refused(tmp_path, 2, WithTags)
    assert "version 1 is missing, and later ones are not" in gap


def test_a_file_without_a_checksum_was_never_released(tmp_path: Path) -> None:
    released(tmp_path, Order)
    (tmp_path / SUMS).write_text("", encoding="utf-8")
    [found] = refused(tmp_path, 1, Order)
    assert "order.placed.v1.schema.json has no line in SHA256SUMS" in found


def test_words_of_the_newest_follow_the_model_without_a_new_version(tmp_path: Path) -> None:
    before = released(tmp_path, Order)
    [stale] = check(tmp_path, **at(1, ToldOtherwise))
    assert "order.placed.v1.schema.json is not what the model says" in stale
    after = released(tmp_path, ToldOtherwise)
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in before)


@pytest.mark.parametrize(
    ("version", "model", "reason"),
    [
        (4, WithTags, "version 4 cannot be next; say 2, which is released, or 3, in VERSIONS"),
        (1, Order, "version 1 cannot be next; say 2, which is released, or 3, in VERSIONS"),
        (0, Order, "version 0 cannot be next"),
        (3, WithTags, "version 3 says what 2 does; say 2 in VERSIONS"),
    ],
)
def test_versions_follow_one_another_and_each_says_something_new(
    tmp_path: Path, version: int, model: Model, reason: str
) -> None:
    released(tmp_path, Order, WithTags)
    [found] = refused(tmp_path, version, model)
    assert found.startswith(f"order.placed: {reason}")


@pytest.mark.parametrize("version", [0, 2])
def test_the_first_version_is_1(tmp_path: Path, version: int) -> None:
    [found] = refused(tmp_path, version, Order)
    assert found.startswith(f"order.placed: version {version} cannot be next; say 1, the first,")


def test_an_event_without_a_version_is_refused(tmp_path: Path) -> None:
    [found] = check(tmp_path, {EVENT: Order}, {})
    assert found == (
        "order.placed: has no version; name it in VERSIONS of services/contracts/payloads.py, with"
        " 1"
    )
    with pytest.raises(ContractError):
        write(tmp_path, {EVENT: Order}, {})


def test_what_the_check_cannot_judge_is_refused_from_the_first_version_on(tmp_path: Path) -> None:
    class Labelled(BaseModel):
        labels: dict[str, str]

    [found] = refused(tmp_path, 1, Labelled)
    assert found.startswith(
        "order.placed: field labels: additionalProperties beside object is not known to the check"
    )


def test_what_belongs_to_no_event_is_said_and_left_where_it_is(tmp_path: Path) -> None:
    released(tmp_path, Order)
    [found] = check(tmp_path, {}, {})
    assert found.startswith("order.placed.v1.schema.json: of no event that there is; remove it")
    (tmp_path / "notes.schema.json").write_text("{}", encoding="utf-8")
    [stray] = refused(tmp_path, 1, Order)
    assert stray.startswith("notes.schema.json: of no event that there is")


def test_the_program_writes_nothing_where_nothing_is_new() -> None:
    before = {path: path.stat().st_mtime_ns for path in FOLDER.iterdir()}
    command = [sys.executable, "-m", "services.contracts.schemas"]
    assert subprocess.run(command, check=False).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in FOLDER.iterdir()} == before
