"""What tables hold, in texts that are the same wherever the same rows lie in the same structure."""

from __future__ import annotations

from typing import Final

import asyncpg

from services.backup.catalogue import Table

SETTINGS: Final = {
    # The text of a row depends on them.
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "timezone": "UTC",
    "search_path": "pg_catalog",
    # A policy is a function of the table's owner; and it would hide rows.
    "row_security": "off",
    # A server's own limits are for services.
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}

_TABLES: Final = """
SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
       c.relkind = 'r' AS own
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
ORDER BY 2
"""

_STRUCTURE: Final = """
SELECT md5(concat_ws(E'\\n',
  (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                               pg_get_expr(d.adbin, d.adrelid)), ',' ORDER BY a.attname)
     FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT string_agg(concat_ws(' ', conname, convalidated, pg_get_constraintdef(oid)), ','
                     ORDER BY conname)
     FROM pg_constraint WHERE conrelid = $1),
  (SELECT string_agg(concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid), ','
                     ORDER BY indexrelid::regclass::text)
     FROM pg_index WHERE indrelid = $1),
  (SELECT string_agg(pg_get_triggerdef(oid), ',' ORDER BY tgname)
     FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal),
  (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = $1)))
"""

# A sum, for the order of rows is nobody's; of two hashes, so that it is 128 bits wide. By the
# output function and not by `::text`: a table's owner may make a cast, which would run as who asks.
_ROWS: Final = """
SELECT count(*) AS rows, md5(concat(
  coalesce(sum(hashtextextended(textin(record_out(the_row_itself)), 0)::numeric), 0), ' ',
  coalesce(sum(hashtextextended(textin(record_out(the_row_itself)), 1)::numeric), 0))) AS checksum
FROM ONLY {table} the_row_itself
"""


async def contents(connection: asyncpg.Connection, database: str) -> dict[str, Table]:
    """Every table of the connection's database, as `database.schema.table`.

    `database` is the name it goes by; a copy on its way has another one.
    """
    found: dict[str, Table] = {}
    for table in await connection.fetch(_TABLES):
        structure = await connection.fetchval(_STRUCTURE, table["oid"])
        rows = (
            await connection.fetchrow(_ROWS.format(table=table["name"])) if table["own"] else None
        )
        found[f"{database}.{table['name']}"] = Table(
            rows=rows["rows"] if rows else 0,
            checksum=rows["checksum"] if rows else "",
            structure=structure,
        )
    return found


async def revision(connection: asyncpg.Connection) -> str | None:
    """Alembic's, of the connection's database; None where no migration ever ran."""
    if await connection.fetchval("SELECT to_regclass('public.alembic_version')") is None:
        return None
    return await connection.fetchval("SELECT version_num FROM public.alembic_version")


def differences(expected: dict[str, Table], found: dict[str, Table]) -> list[str]:
    """One line for each table that is not what it should be."""
    lines = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    lines += [f"{name} should not be there" for name in sorted(found.keys() - expected.keys())]
    for name in sorted(expected.keys() & found.keys()):
        was, now = expected[name], found[name]
        if was.rows != now.rows:
            lines.append(f"{name} has {now.rows} rows instead of {was.rows}")
        elif was.checksum != now.checksum:
            lines.append(f"{name} holds other rows, {now.rows} of them")
        if was.structure != now.structure:
            lines.append(f"{name} has another structure")
    return lines


def of_database(found: dict[str, Table], database: str) -> dict[str, Table]:
    """Those of one database."""
    return {name: one for name, one in found.items() if name.startswith(f"{database}.")}
