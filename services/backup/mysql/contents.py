"""What a database holds: its tables' rows and structure as texts that can be compared."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from services.backup.catalogue import Table
from services.backup.engine import BackupError
from services.backup.mysql.session import Session, quote

REVISIONS: Final = "alembic_version"
# May be as long as a packet, so their hash goes into the row's; and of any character set.
_HASHED: Final = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set",
    "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "geometry", "point",
    "vector"}  # fmt: skip


def tables(session: Session, database: str) -> list[str]:
    """Names of the tables."""
    found = session.rows(
        "SELECT table_name FROM information_schema.tables "
        "WHERE table_schema = %s AND table_type = 'BASE TABLE' ORDER BY table_name",
        (database,),
    )
    return [name for (name,) in found]


def contents(session: Session, database: str) -> dict[str, Table]:
    """Every table, read whole. Within a snapshot: what the snapshot holds."""
    return {name: _table(session, database, name) for name in tables(session, database)}


def revision(session: Session, database: str) -> str | None:
    """Of Alembic. Raises BackupError without its table, or with no or several revisions."""
    try:
        rows = session.rows(f"SELECT version_num FROM {quote(database)}.{REVISIONS}")  # noqa: S608
    except BackupError as error:
        raise BackupError(
            f"{database} has no schema revision ({error}); run its migrations first"
        ) from error
    if len(rows) != 1:
        raise BackupError(f"{database}.{REVISIONS} has {len(rows)} rows and should have one")
    return rows[0][0]


def others(session: Session, database: str) -> list[str]:
    """What beside tables lies in a database, each with its kind."""
    return [
        f"{kind} {name}"
        for kind, source in (
            ("view", "views WHERE table_schema"),
            ("trigger", "triggers WHERE trigger_schema"),
            ("routine", "routines WHERE routine_schema"),
            ("event", "events WHERE event_schema"),
        )
        for (name,) in session.rows(
            f"SELECT {'table' if kind == 'view' else kind}_name "  # noqa: S608
            f"FROM information_schema.{source} = %s",
            (database,),
        )
    ]


def orphans(session: Session, database: str) -> list[str]:
    """Foreign keys with rows that refer to none: a dump is loaded with the checks off."""
    keys: dict[tuple[str, str, str, str], list[tuple[str, str]]] = {}
    for table, name, to_schema, to_table, column, to_column in session.rows(
        "SELECT table_name, constraint_name, referenced_table_schema, referenced_table_name, "
        "column_name, referenced_column_name FROM information_schema.key_column_usage "
        "WHERE table_schema = %s AND referenced_table_name IS NOT NULL "
        "ORDER BY table_name, constraint_name, ordinal_position",
        (database,),
    ):
        keys.setdefault((table, name, to_schema, to_table), []).append((column, to_column))
    found: list[str] = []
    for (table, name, to_schema, to_table), columns in keys.items():
        joined = " AND ".join(f"p.{quote(to)} = c.{quote(column)}" for column, to in columns)
        whole = " AND ".join(f"c.{quote(column)} IS NOT NULL" for column, _ in columns)
        (count,) = session.row(
            f"SELECT COUNT(*) FROM {quote(database)}.{quote(table)} c "  # noqa: S608
            f"LEFT JOIN {quote(to_schema)}.{quote(to_table)} p ON {joined} "
            f"WHERE {whole} AND p.{quote(columns[0][1])} IS NULL"
        )
        if count:
            found.append(f"{count} rows of {table} break {name}")
    return found


def differences(wanted: dict[str, Table], found: dict[str, Table]) -> list[str]:
    """In words; empty when they hold the same."""
    said = [f"{name} is missing" for name in wanted if name not in found]
    said += [f"{name} should not be there" for name in found if name not in wanted]
    for name in wanted.keys() & found.keys():
        one, other = wanted[name], found[name]
        if one.structure != other.structure:
            said.append(f"{name} has another structure")
        if one.rows != other.rows:
            said.append(f"{name} has {other.rows} rows and should have {one.rows}")
        elif one.checksum != other.checksum:
            said.append(f"{name} has other rows")
    return sorted(said)


def _table(session: Session, database: str, name: str) -> Table:
    full = f"{quote(database)}.{quote(name)}"
    columns = session.rows(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
        (database, name),
    )
    values = ", ".join(
        f"SHA2({quote(column)}, 256)"
        if kind.lower() in _HASHED
        else f"HEX({quote(column)} + 0)"
        if kind.lower() == "bit"
        else f"SHA2(CAST({quote(column)} AS CHAR CHARACTER SET utf8mb4), 256)"
        for column, kind in columns
    )
    nulls = ", ".join(f"{quote(column)} IS NULL" for column, _ in columns)
    # Independent of the order of the rows and of how the server stores them. The sum is for rows
    # that are there twice, which the exclusive or does not see.
    rows, mixed, summed = session.row(
        "SELECT COUNT(*), BIT_XOR(CAST(CONV(LEFT(h, 16), 16, 10) AS UNSIGNED)), "  # noqa: S608
        "COALESCE(SUM(CAST(CONV(SUBSTRING(h, 17, 12), 16, 10) AS UNSIGNED)), 0) "
        f"FROM (SELECT SHA2(CONCAT_WS(',', {values}, CONCAT({nulls})), 256) AS h FROM {full}) AS r"
    )
    (_, created) = session.row(f"SHOW CREATE TABLE {full}")
    # The counter moves by itself; and a column that got its table's collation is written another
    # way once it went through a dump.
    structure = re.sub(r" AUTO_INCREMENT=\d+| CHARACTER SET \w+(?= COLLATE )", "", created)
    return Table(
        rows=rows,
        checksum=f"{mixed:016x}{int(summed):x}",
        structure=hashlib.sha256(structure.encode()).hexdigest(),
    )
