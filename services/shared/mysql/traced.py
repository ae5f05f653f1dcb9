"""What a statement to MySQL says in the trace of whoever makes it, with either driver.

Its values are within its text, so the text is not told.
"""

from __future__ import annotations

from typing import Any

from services.shared.runtime import context
from services.shared.runtime.settings import DatabaseSettings
from services.shared.tracing import spans
from services.shared.tracing.statements import summary_of_text


def statement(connection: Any, sql: str | bytes) -> spans.Block:
    """A step for as long as the server takes; only for a task that works for a span."""
    return _step(connection, summary_of_text(sql))


def connecting(settings: DatabaseSettings) -> spans.Block:
    """Until the server has let us in."""
    about = _about(settings.name, settings.host, settings.port)
    return spans.step(f"CONNECT {settings.name}", "CLIENT", about)


def word(connection: Any, name: str) -> spans.Block:
    """The same of what is no statement to the driver."""
    if context.span() is None:
        return spans.UNTRACED
    return _step(connection, name)


def _step(connection: Any, name: str) -> spans.Block:
    database = connection.db
    namespace = database.decode() if isinstance(database, bytes) else database or ""
    about = _about(namespace, connection.host, connection.port)
    return spans.step(name, "CLIENT", {**about, "db.query.summary": name})


def _about(database: str, host: str, port: int) -> dict[str, str | int]:
    return {
        "db.system.name": "mysql",
        "db.namespace": database,
        "server.address": host,
        "server.port": port,
    }
