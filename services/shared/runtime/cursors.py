"""Where the next page begins, as a text that clients need not understand."""

from __future__ import annotations

import base64
import binascii


def seal(text: str) -> str:
    """The cursor that says `text`."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def unseal(cursor: str) -> str:
    """What seal() was given; empty when it never gave such a cursor."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
