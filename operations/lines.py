"""A Job's log, as people read it; and the sentence that says why it failed."""

import json
from collections.abc import Mapping
from typing import Any, cast

_OWN = ("timestamp", "level", "event", "service", "logger", "reason")


class Log:
    """Takes a Job's lines; remembers what the last complaint was."""

    def __init__(self) -> None:
        self.complaint = ""
        self._last = ""

    def line(self, text: str) -> str:
        """The same line for people."""
        entry = _entry(text)
        if entry is None:
            self._last = text.strip() or self._last
            return text
        if str(entry.get("level", "")).lower() in ("error", "critical"):
            self.complaint = str(entry.get("reason") or entry["event"])
        more = "  ".join(
            f"{key}={_value(value)}" for key, value in entry.items() if key not in _OWN
        )
        time = str(entry.get("timestamp", ""))[11:19]
        said = str(entry["event"]).replace("_", " ")
        reason = f": {entry['reason']}" if "reason" in entry else ""
        return "  ".join(filter(None, (time, said + reason, more)))

    @property
    def failing_sentence(self) -> str:
        """Why it failed, as it said itself."""
        return self.complaint or self._last or "it said nothing"


def _entry(text: str) -> Mapping[str, Any] | None:
    try:
        entry: object = json.loads(text)
    except ValueError:
        return None
    if not isinstance(entry, dict):
        return None
    known = cast("dict[str, Any]", entry)
    return known if "event" in known else None


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
