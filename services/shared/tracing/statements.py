"""What a span says of an SQL statement: what it does to which tables, never the values."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_STEP: Final = re.compile(
    r"\b(INSERT\s+INTO|(?<!FOR )(?<!KEY )(?<!DO )UPDATE|DELETE\s+FROM)\s+(?:ONLY\s+)?([A-Z_][\w.]*)"
    r"|\b(FROM)\s+(?:ONLY\s+)?([A-Z_][\w.]*)\b(?!\s*\()",  # what has arguments is a function
    re.IGNORECASE,
)
_NAMED: Final = re.compile(r"\b([A-Za-z_]\w*)(?:\s*\([^()]*\))?\s+AS\s+(?:MATERIALIZED\s+)?\(")
_VALUES: Final = re.compile(r"\bVALUES\b|['\"]", re.IGNORECASE)
_COMMENT: Final = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_HEAD: Final = 300
"""Characters of a statement that is a text with its values in it: what it is stands before them."""
_LONGEST: Final = 120


@lru_cache(maxsize=512)
def summary(statement: str) -> str:
    """As `INSERT resources INSERT outbox_events`: writes and their tables, else the first read.

    https://opentelemetry.io/docs/specs/semconv/db/database-spans/, `db.query.summary`.
    """
    text = _COMMENT.sub(" ", statement)
    own = {name.lower() for name in _NAMED.findall(text)}
    steps = [one for one in _STEP.findall(text) if (one[1] or one[3]).lower() not in own]
    writes = [f"{verb.split()[0].upper()} {table}" for verb, table, *_ in steps if verb]
    reads = [f"SELECT {table}" for *_, read, table in steps if read]
    found = " ".join(dict.fromkeys(writes)) or next(iter(reads), "")
    return (found or next(iter(text.split()), "").strip(";").upper())[:_LONGEST]


def summary_of_text(statement: str | bytes) -> str:
    """The same of a statement that holds its values, and may be a megabyte of them."""
    head = statement[:_HEAD]
    text = head.decode(errors="replace") if isinstance(head, bytes) else head
    values = _VALUES.search(text)
    # Each is another text: nothing to remember.
    return summary.__wrapped__(text[: values.start()] if values else text)
