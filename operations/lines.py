"""A Job's log, as people read it; and the sentence that says why it failed."""

import json
from collections.abc import Mapping
from typing import Any, cast

OWN = ("timestamp", "level", "event", "service", "logger", "reason")
"""What every line of a program of ours may have."""


class Log:
    """Takes a Job's lines; remembers what the last complaint was."""

    def __init__(self) -> None:
        self.complaint = ""
        self._last = ""

    def line(self, text: str) -> str:
        """The same line for people."""
        said = entry(text)
        if said is None:
            self._last = text.strip() or self._last
            return text
        if str(said.get("level", "")).lower() in ("error", "critical"):
            self.complaint = str(said.get("reason") or said["event"])
        more = "  ".join(f"{key}={value(one)}" for key, one in said.items() if key not in OWN)
        time = str(said.get("timestamp", ""))[11:19]
        event = str(said["event"]).replace("_", " ")
        reason = f": {said['reason']}" if "reason" in said else ""
        return "  ".join(filter(None, (time, event + reason, more)))

    @property
    def failing_sentence(self) -> str:
        """Why it failed, as it said itself."""
        return self.complaint or self._last or "it said nothing"


def entry(text: str) -> Mapping[str, Any] | None:
    """A line of ours; None of one that somebody else's program wrote."""
    try:
        said: object = json.loads(text)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    known = cast("dict[str, Any]", said)
    return known if "event" in known else None


def value(said: object) -> str:
    """What stands behind a key."""
    return said if isinstance(said, str) else json.dumps(said)
