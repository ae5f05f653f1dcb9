"""Names, times and files of backups."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from services.backup.actions import moment
from services.backup.catalogue import checked_name, new_name
from services.backup.engine import BackupError
from services.backup.storage.folder import Folder
from services.backup.storage.storage import StorageError


def test_a_name_says_the_moment_in_utc_and_whether_it_is_encrypted():
    tokyo = timezone(timedelta(hours=9))
    taken = datetime(2026, 1, 2, 3, 4, 5, tzinfo=tokyo)
    assert new_name("clients", taken, suffix=".sql.gz", encrypted=False) == (
        "clients-20260101-180405.sql.gz"
    )
    name = new_name("clients", taken, suffix=".sql.gz", encrypted=True)
    assert name.endswith(".sql.gz.age")
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["../clients-20260101-180405.sql.gz", "", "clients", "a/b"])
def test_a_path_is_no_name(name: str):
    with pytest.raises(BackupError, match="not the name"):
        checked_name(name)


def test_a_moment_has_its_zone():
    assert moment("2026-01-02T03:04:05+02:00") == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
    for wrong in ("2026-01-02T03:04:05", "yesterday", ""):
        with pytest.raises(BackupError, match="zone"):
            moment(wrong)


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path):
    folder = Folder(tmp_path)
    with folder.write("a/x") as file:
        file.write(b"first")
    with suppress(KeyError), folder.write("a/x") as file:
        file.write(b"second, half")
        raise KeyError
    with folder.read("a/x") as file:
        assert file.read(100) == b"first"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["x"]
    folder.delete("a/x")
    folder.delete("a/x")
    with pytest.raises(StorageError, match="No such file"), folder.read("a/x"):
        pass
    assert folder.list("nowhere") == []
