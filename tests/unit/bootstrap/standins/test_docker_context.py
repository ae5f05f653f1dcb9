import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bootstrap.standins.docker_context import read_context
from bootstrap.standins.kinds import StandinError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("print()")
    (tmp_path / "secret.env").write_text("x")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY src /src\n")
    (tmp_path / ".dockerignore").write_text("# comment\n*.env\n")
    return tmp_path


def given(folder: Path, **dockerfile: str) -> dict[str, Any]:
    return {"context": {"location": str(folder)}, "dockerfile": dockerfile}


def digest(folder: Path, **dockerfile: str) -> str:
    return read_context(given(folder, **dockerfile)).digest()


def sent(folder: Path, **dockerfile: str) -> dict[str, bytes]:
    target = io.BytesIO()
    read_context(given(folder, **dockerfile)).write(target)
    target.seek(0)
    with tarfile.open(fileobj=target) as archive:
        files = [member for member in archive if member.isfile()]
        return {m.name: archive.extractfile(m).read() for m in files}  # type: ignore[union-attr]


def test_ignored_files_are_neither_sent_nor_hashed(folder: Path) -> None:
    before = digest(folder)
    (folder / "secret.env").write_text("other")
    (folder / "more.env").write_text("new")
    assert digest(folder) == before
    assert set(sent(folder)) == {".dockerignore", "Dockerfile", "src/app.py"}


@pytest.mark.parametrize(
    "change",
    [
        lambda f: (f / "src" / "app.py").write_text("other"),
        lambda f: (f / "src" / "new.py").write_text(""),
        lambda f: (f / "src" / "app.py").rename(f / "src" / "moved.py"),
        lambda f: (f / "src" / "app.py").chmod(0o755),
        lambda f: (f / "src" / "link").symlink_to("app.py"),
        lambda f: (f / "Dockerfile").write_text("FROM scratch\n"),
    ],
    ids=["content", "new file", "name", "mode", "link", "Dockerfile"],
)
def test_what_a_build_would_see_differently_changes_the_hash(folder: Path, change: Any) -> None:
    before = digest(folder)
    change(folder)
    assert digest(folder) != before


def test_a_new_time_stamp_alone_does_not_change_the_hash(folder: Path) -> None:
    before = digest(folder)
    os.utime(folder / "src" / "app.py", (0, 0))
    assert digest(folder) == before


def test_a_dockerfile_that_is_ignored_is_sent_all_the_same(folder: Path) -> None:
    (folder / ".dockerignore").write_text("*\n!src\n")
    assert set(sent(folder)) == {".dockerignore", "Dockerfile", "src/app.py"}


def test_a_dockerfile_has_its_own_ignore_file_first(folder: Path) -> None:
    (folder / "Dockerfile.dockerignore").write_text("src\n*.dockerignore\n.dockerignore\n")
    assert set(sent(folder)) == {".dockerignore", "Dockerfile", "secret.env"}


def test_an_inline_dockerfile_is_sent_but_kept_out_of_the_image(folder: Path) -> None:
    files = sent(folder, inline="FROM scratch\nCOPY . /\n")
    context = read_context(given(folder, inline="FROM scratch\nCOPY . /\n"))
    assert files[context.dockerfile] == b"FROM scratch\nCOPY . /\n"
    assert context.dockerfile in files[".dockerignore"].decode().splitlines()
    assert "*.env" in files[".dockerignore"].decode().splitlines()


def test_a_dockerfile_outside_the_context_is_sent_along(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "other.Dockerfile"
    outside.write_text("FROM scratch\n")
    files = sent(folder / "src", location=str(outside))
    context = read_context(given(folder / "src", location=str(outside)))
    assert files[context.dockerfile] == b"FROM scratch\n"
    assert "app.py" in files


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"context": {"location": "/nowhere/at/all"}}, "no folder /nowhere/at/all"),
        ({"context": {"location": "https://host/repo.git"}}, "builds from folders only"),
        ({"dockerfile": {"location": "/nowhere/Dockerfile"}}, "no file /nowhere/Dockerfile"),
        ({"dockerfile": {"inline": "FROM a", "location": "b"}}, "given twice"),
    ],
)
def test_a_context_that_cannot_be_used_is_refused(inputs: Any, words: str) -> None:
    with pytest.raises(StandinError, match=words):
        read_context(inputs)
