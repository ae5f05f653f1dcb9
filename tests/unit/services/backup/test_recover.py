"""Going back to a moment of PostgreSQL while the archive goes on."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest

from services.backup.postgres import files, recover, scratch
from services.backup.storage.folder import Folder

MOMENT = datetime(2026, 1, 2, tzinfo=UTC)
SEGMENT = "000000010000000000000007"
FOLDER = "postgres/wal-1"
ENTRY: Any = SimpleNamespace(
    name="postgres-20260101-000000",
    position=SimpleNamespace(lsn="0/7000100", timeline=1),
    origin=SimpleNamespace(id="1"),
)


class Archive:
    """What the archiver does, by hand."""

    def __init__(self, root: Path) -> None:
        (root / "scratch").mkdir()
        catalogue = SimpleNamespace(storage=Folder(root), path=lambda name: f"postgres/{name}")
        self.job: Any = SimpleNamespace(
            spec=SimpleNamespace(
                scratch=root / "scratch",
                encryption=None,
                archive=SimpleNamespace(interval_seconds=1),
            ),
            catalogue=catalogue,
        )

    def grows(self, text: bytes) -> None:
        files.put(self.job, FOLDER, files.partial_name(SEGMENT), io.BytesIO(text))
        with self.job.catalogue.storage.write(f"{FOLDER}/position.json") as file:
            when = (MOMENT + timedelta(seconds=5)).isoformat()
            file.write(f'{{"lsn": "0/7000200", "timeline": 1, "when": "{when}"}}'.encode())

    def is_whole(self, text: bytes) -> None:
        files.put(self.job, FOLDER, SEGMENT, io.BytesIO(text))
        self.job.catalogue.storage.delete(f"{FOLDER}/{files.partial_name(SEGMENT)}.gz")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    @asynccontextmanager
    async def unpacked(job: Any, entry: Any) -> AsyncIterator[scratch.Scratch]:
        with TemporaryDirectory(dir=job.spec.scratch) as root:
            place = scratch.Scratch(Path(root))
            place.log.mkdir()
            (place.log / SEGMENT).write_bytes(b"what the backup has of it")
            yield place

    monkeypatch.setattr(scratch, "unpacked", unpacked)
    made = Archive(tmp_path)
    made.grows(b"until the moment")
    return made


async def test_what_the_archive_gets_between_two_tries_is_not_replayed(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[bytes, bool]] = []

    @asynccontextmanager
    async def running(place: scratch.Scratch, target: Mapping[str, str]) -> AsyncIterator[None]:
        tried.append(((place.log / SEGMENT).read_bytes(), bool(target)))
        if target:
            archive.grows(b"until the moment, and what was committed later")
            raise scratch.EndedEarlyError
        yield

    monkeypatch.setattr(scratch, "running", running)
    async with recover.at_moment(archive.job, ENTRY, MOMENT):
        pass
    assert tried == [(b"until the moment", True), (b"until the moment", False)]


async def test_a_segment_that_becomes_whole_meanwhile_is_fetched_by_its_new_name(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_file, log = files.get_file, list[bytes]()

    def late(job: Any, path: str, target: Path, sha256: str | None = None) -> None:
        if files.is_partial(path):
            archive.is_whole(b"all of it")
        get_file(job, path, target, sha256)

    @asynccontextmanager
    async def running(place: scratch.Scratch, target: Mapping[str, str]) -> AsyncIterator[None]:
        log.append((place.log / SEGMENT).read_bytes())
        yield

    monkeypatch.setattr(files, "get_file", late)
    monkeypatch.setattr(scratch, "running", running)
    async with recover.at_moment(archive.job, ENTRY, MOMENT):
        pass
    assert log == [b"all of it"]
