"""The payloads as JSON Schemas, for consumers in other languages and for reviewers.

`python -m services.contracts.schemas` writes `docs/events/<event type>.schema.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from services.contracts.payloads import PAYLOADS

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "events"


def file_name(event_type: str) -> str:
    """The schema's file in the folder."""
    return f"{event_type}.schema.json"


def rendered(event_type: str) -> str:
    """The JSON Schema (draft 2020-12) of an event's payload, as the file holds it.

    Open, although the models refuse fields that nobody declared: they say what a producer may
    write, the schema what a consumer can rely on. A consumer that validated against a closed one
    would refuse the first event with a new field.
    """
    schema = PAYLOADS[event_type].model_json_schema()
    for model in (schema, *schema.get("$defs", {}).values()):
        model.pop("additionalProperties", None)
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": event_type,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path = FOLDER) -> None:
    """Write every schema, and remove those of events that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {file_name(event_type) for event_type in PAYLOADS}
    for stale in (path for path in folder.glob("*.schema.json") if path.name not in known):
        stale.unlink()
    for event_type in PAYLOADS:
        (folder / file_name(event_type)).write_text(rendered(event_type), encoding="utf-8")


if __name__ == "__main__":
    write()
