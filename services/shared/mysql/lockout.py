"""How accounts are locked for a while beside somebody who provisions them."""

from __future__ import annotations

from typing import Final

from services.shared.mysql.connections import Connection

LOCK: Final = "millrace.provision"
"""Named lock of the server: who holds it alone locks and unlocks accounts."""
HELD: Final = "millrace_restore"
"""Attribute of an account that is locked until a restore is over. Who meets it leaves it locked."""


async def held(connection: Connection, name: str) -> bool:
    """Whether a restore keeps the account out: it lets it in itself, or its `unlock` does."""
    async with connection.cursor() as cursor:
        await cursor.execute(
            "SELECT 1 FROM information_schema.user_attributes"
            " WHERE user = %s AND host = '%%' AND attribute->>%s = 'true'",
            (name, f"$.{HELD}"),
        )
        return bool(await cursor.fetchall())
