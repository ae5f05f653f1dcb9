"""The kinds of servers that can be migrated, by the names the records give them."""

from __future__ import annotations

from typing import Final

from services.migrate import mysql, postgres
from services.migrate.engine import Engine

ENGINES: Final[dict[str, Engine]] = {"postgres": postgres.ENGINE, "mysql": mysql.ENGINE}
