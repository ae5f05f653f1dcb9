"""Identifiers: UUIDs that sort by the time at which they were made."""

from __future__ import annotations

import re

import uuid_utils

UUID7_PATTERN = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_UUID7 = re.compile(UUID7_PATTERN)


def new_id() -> str:
    """A UUIDv7 in lower-case canonical text: its text order is its time order (RFC 9562)."""
    return str(uuid_utils.uuid7())


def is_uuid7(text: str) -> bool:
    """Whether `text` is a UUIDv7 exactly as new_id() writes one."""
    return _UUID7.fullmatch(text) is not None
