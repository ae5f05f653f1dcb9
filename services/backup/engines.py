"""The kinds of servers that can be backed up, by the names the records give them.

Imported when asked for: an image holds the libraries of its own kind only.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from services.backup.engine import Engine

NAMES: Final = ("mysql", "postgres")


def engine(name: str) -> Engine:
    """`ENGINE` of services.backup.<name>.engine."""
    return import_module(f"services.backup.{name}.engine").ENGINE
