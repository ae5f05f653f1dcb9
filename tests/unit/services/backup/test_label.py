import io
import tarfile

import pytest

from services.backup.engine import BackupError
from services.backup.postgres.label import Labelled

LABEL = """\
START WAL LOCATION: 1/5A000028 (file 00000001000000010000005A)
CHECKPOINT LOCATION: 1/5A000080
BACKUP METHOD: streamed
BACKUP FROM: primary
START TIME: 2026-01-01 00:00:00 UTC
LABEL: pg_basebackup base backup
START TIMELINE: 1
"""


def archive(*files: tuple[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, text in files:
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


@pytest.mark.parametrize("size", [1, 100, 512, 4096, -1])
def test_the_label_is_known_once_the_archive_was_passed_on_whole(size: int) -> None:
    given = archive(("backup_label", LABEL), ("PG_VERSION", "17\n"))
    labelled = Labelled(io.BytesIO(given))
    assert b"".join(iter(lambda: labelled.read(size), b"")) == given
    assert labelled.start == "1/5A000028"


@pytest.mark.parametrize(
    "given",
    [
        b"",
        archive(("PG_VERSION", "17\n"), ("backup_label", LABEL)),
        archive(("backup_label.old", LABEL)),
        archive(("backup_label", "nothing of the kind\n")),
    ],
    ids=["nothing", "another file first", "another name", "another text"],
)
def test_what_does_not_begin_with_a_label_is_refused(given: bytes) -> None:
    labelled = Labelled(io.BytesIO(given))
    labelled.read()
    with pytest.raises(BackupError, match="label"):
        _ = labelled.start
