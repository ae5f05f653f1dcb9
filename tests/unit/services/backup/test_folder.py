"""A storage that is a folder, while others work in it."""

from pathlib import Path
from threading import Event, Thread

from services.backup.storage.folder import Folder


def test_what_is_deleted_meanwhile_hides_nothing_else(tmp_path: Path) -> None:
    """An archiver deletes a partial segment while somebody asks what there is."""
    (tmp_path / "kept").touch()
    folder, done = Folder(tmp_path), Event()

    def come_and_go() -> None:
        while not done.is_set():
            for number in range(20):
                (tmp_path / f"gone-{number}").touch()
            for number in range(20):
                folder.delete(f"gone-{number}")

    other = Thread(target=come_and_go)
    other.start()
    try:
        for _ in range(500):
            assert "kept" in {stored.name for stored in folder.list()}
    finally:
        done.set()
        other.join()
