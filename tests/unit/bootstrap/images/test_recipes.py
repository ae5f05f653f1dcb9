import os
import tarfile
from pathlib import Path

import pytest

from bootstrap.images import recipes
from bootstrap.images.recipes import RECIPES, Recipe, build_context, content_address, image_tag


@pytest.fixture
def bases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Recipe, Recipe]:
    """A base image's recipe and one built on it, which adds a compiled program."""
    monkeypatch.setattr(recipes, "HERE", tmp_path / "recipes")
    for name in ("ground", "house"):
        (tmp_path / "recipes" / name).mkdir(parents=True)
        (tmp_path / "recipes" / name / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
    (tmp_path / "binaries").mkdir()
    (tmp_path / "binaries" / "program").write_bytes(b"\x7fELF 1")
    ground = Recipe("ground", base=None)
    house = Recipe("house", base=ground, added=lambda folder: {"program": folder / "program"})
    return ground, house


def test_an_address_stays_while_nothing_that_goes_in_changes(
    bases: tuple[Recipe, Recipe], tmp_path: Path
) -> None:
    _, house = bases
    before = content_address(house, tmp_path / "binaries")

    os.utime(house.folder / "Dockerfile", (0, 0))

    assert content_address(house, tmp_path / "binaries") == before
    assert image_tag(house, tmp_path / "binaries") == f"millrace/house:{before}"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("recipes/house/Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN true\n"),
        ("recipes/house/another", ""),
        ("recipes/ground/Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN true\n"),
        ("binaries/program", "\x7fELF 2"),
    ],
    ids=["its own file", "a new file", "its base", "an added program"],
)
def test_an_address_changes_with_whatever_goes_in(
    bases: tuple[Recipe, Recipe], tmp_path: Path, file: str, content: str
) -> None:
    _, house = bases
    before = content_address(house, tmp_path / "binaries")

    (tmp_path / file).write_text(content)

    assert content_address(house, tmp_path / "binaries") != before


def test_an_address_changes_when_a_file_becomes_executable(
    bases: tuple[Recipe, Recipe], tmp_path: Path
) -> None:
    _, house = bases
    before = content_address(house, tmp_path / "binaries")

    (tmp_path / "binaries" / "program").chmod(0o755)

    assert content_address(house, tmp_path / "binaries") != before


def test_an_address_changes_on_the_day_packages_are_taken_anew(
    bases: tuple[Recipe, Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground, _ = bases
    before = content_address(ground, tmp_path)

    monkeypatch.setattr(recipes, "PACKAGES_AS_OF", "2027-01-01")

    assert content_address(ground, tmp_path) != before


def test_no_address_before_an_added_program_is_there(
    bases: tuple[Recipe, Recipe], tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match="program"):
        content_address(bases[1], tmp_path / "nowhere")


def test_a_context_says_nothing_about_the_machine_it_was_packed_on(
    bases: tuple[Recipe, Recipe], tmp_path: Path
) -> None:
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "some.jar").write_bytes(b"PK")
    (tmp_path / "binaries" / "program").chmod(0o700)

    with (
        build_context(bases[1], tmp_path / "binaries", {"libs": tmp_path / "libs"}) as file,
        tarfile.open(fileobj=file) as archive,
    ):
        entries = {entry.name: entry for entry in archive}

    assert set(entries) == {"Dockerfile", "program", "libs", "libs/some.jar"}
    assert {(entry.uid, entry.gid, entry.uname, entry.mtime) for entry in entries.values()} == {
        (0, 0, "", 0)
    }
    assert oct(entries["program"].mode) == "0o755"
    assert oct(entries["Dockerfile"].mode) == "0o644"


def test_every_folder_of_images_is_a_recipe_and_builds_on_the_base_it_is_given() -> None:
    folders = {path.name for path in recipes.HERE.iterdir() if path.is_dir()} - {"__pycache__"}

    assert folders == {recipe.name for recipe in RECIPES}
    for recipe in RECIPES:
        if recipe.base is not None:
            instructions = (recipe.folder / "Dockerfile").read_text()
            assert "\nARG BASE\nFROM ${BASE}" in instructions, recipe.name


def test_recipes_come_after_their_bases() -> None:
    seen: set[str] = set()
    for recipe in RECIPES:
        assert recipe.base is None or recipe.base.name in seen, recipe.name
        seen.add(recipe.name)


def test_the_first_bundle_of_certificates_found_is_taken(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.crt"
    bundle.write_text("certificates")

    assert recipes.trusted_certificates((tmp_path / "none", bundle)) == bundle


def test_a_machine_without_certificates_is_told_which_package_brings_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="install the package ca-certificates"):
        recipes.trusted_certificates((tmp_path / "none",))
