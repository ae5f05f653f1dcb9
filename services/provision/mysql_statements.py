"""How statements are sent to a MySQL server, and names quoted in them."""

from __future__ import annotations

from typing import Any

from pymysql.converters import escape_string

from services.shared.mysql.connections import Connection


async def ask(connection: Connection, statement: str, *args: object) -> list[dict[str, Any]]:
    async with connection.cursor() as cursor:
        await cursor.execute(statement, args or None)
        return list(await cursor.fetchall())


def on(place: str) -> str:
    # In a GRANT, _ and % of a database's name are patterns.
    return "*.*" if place == "*" else quote(place.replace("_", r"\_")) + ".*"


def user_of(name: str) -> str:
    # From any host, as it says none: pods have no addresses that one could name.
    return f"'{escape_string(name)}'"


def quote(identifier: str) -> str:
    """A quoted SQL identifier; the spec has already refused anything unusual."""
    return "`" + identifier.replace("`", "``") + "`"
