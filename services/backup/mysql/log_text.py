"""A file of the binary log as `mysqlbinlog` decodes it: where to stop, and what it would leave out.

Asked for one database it goes by the one that was in use: an `ALTER TABLE client_db.clients` that
was said from elsewhere changed `client_db`, and is not in what it gives.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from services.backup.mysql.tools import Tool

_AT: Final = re.compile(rb"^# at (\d+)\r?$")
_COMMITTED: Final = re.compile(rb"\bimmediate_commit_timestamp=(\d+)")
_WHEN: Final = re.compile(rb"^#(\d\d)(\d\d)(\d\d) +(\d+:\d\d:\d\d) ")
_NO_TEXT: Final = (b"SET ", b"use ", b"/*!", b"#", b"DELIMITER ")
_CHANGES_TABLES: Final = re.compile(
    rb"(?:\s|/\*.*?\*/)*(?:CREATE|ALTER|DROP|RENAME|TRUNCATE)\s+(?!USER\b|ROLE\b)", re.I | re.S
)
_MOST_BYTES: Final = 2**20  # of a statement: whether it names a database is seen long before


@dataclass(frozen=True)
class Statement:
    """One that changes tables, and names the database."""

    at: int
    when: str
    text: str


@dataclass(frozen=True)
class LogText:
    """What a file says."""

    stop: int | None
    """Where the first transaction begins that was committed after the moment; None: none was."""
    named: tuple[Statement, ...]
    """Before that."""


def left_out(
    raw: Path, database: str, to: datetime, start: int
) -> tuple[int | None, list[Statement]]:
    """Where to stop, and what changed tables between `start` and there and would not be replayed.

    Commits carry microseconds. All before the first that is after `to` are taken, in the log's
    order, even when the server's clock was set back in between: a later change may build on an
    earlier one.
    """
    everything = decoded(raw, database, to)
    wanted = [one for one in everything.named if one.at >= start]
    if wanted:
        given = {one.at for one in decoded(raw, database, to, f"--database={database}").named}
        wanted = [one for one in wanted if one.at not in given]
    return everything.stop, wanted


def decoded(raw: Path, database: str, to: datetime, *options: str) -> LogText:
    """Read the file up to the moment."""
    limit = round(to.timestamp() * 1_000_000)
    names = re.compile(rb"(?<![\w$`])`?" + re.escape(database.encode()) + rb"`?\s*\.", re.I)
    named: list[Statement] = []
    at, when, text = 0, "", None
    command = ["mysqlbinlog", "--no-defaults", "--base64-output=DECODE-ROWS", *options, str(raw)]

    def note(lines: Sequence[bytes] | None) -> None:
        said = b"".join(lines or ())
        if _CHANGES_TABLES.match(said) and names.search(said):
            named.append(Statement(at, when, said.decode(errors="replace").strip()))

    with Tool(command) as tool:
        for line in tool.output:
            if found := _AT.match(line):
                note(text)
                at, text = int(found[1]), None
            elif (
                line.startswith(b"#")
                and (found := _COMMITTED.search(line))
                and int(found[1]) > limit
            ):
                return LogText(at, tuple(named))
            elif found := _WHEN.match(line):
                year, month, day, time = (part.decode() for part in found.groups())
                when = f"20{year}-{month}-{day}T{time:0>8}Z"
                text = [] if b"\tQuery\t" in line else None
            elif (
                text is not None
                and not line.startswith(_NO_TEXT)
                and sum(map(len, text)) < _MOST_BYTES
            ):
                text.append(line)
        note(text)
        tool.finish()
    return LogText(None, tuple(named))
