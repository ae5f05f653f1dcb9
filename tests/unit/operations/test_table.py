"""What `make backups` shows."""

from operations import table

ROW = {
    "backup": "client-db-20260102-030405.sql.gz",
    "age_seconds": 7200,
    "bytes": 207_977,
    "sha256": "0a41f95e92b6317214c477f310736722530c10254a51e046400a3850891ea8ca",
    "position": "binlog.000027:3846",
    "encrypted": True,
    "proven": "2026-01-02T03:04:09Z",
    "proof": "passed",
}


def shown(*rows: dict[str, object]) -> list[str]:
    said: list[str] = []
    table.show(said.append, "client-db", rows)
    return "\n".join(said).splitlines()


def test_a_backup_fits_a_narrow_terminal_and_its_name_can_be_copied_whole():
    lines = shown(ROW)
    assert max(map(len, lines)) <= 80
    assert "client-db-20260102-030405.sql.gz" in lines[2].split()
    assert lines[3].endswith("at binlog.000027:3846, encrypted")


def test_the_newest_comes_first_and_one_that_failed_its_drill_says_so():
    lines = shown(
        ROW, {**ROW, "backup": "new", "age_seconds": 5, "proven": None, "proof": "FAILED"}
    )
    assert lines[2].split() == ["new", "5", "s", "203.1", "KiB", "FAILED"]


def test_no_backup_yet_names_the_command_that_takes_one():
    assert shown() == ["client-db: no backup yet; `make backup` takes one"]
