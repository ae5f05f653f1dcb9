"""The payloads as JSON Schemas, for consumers in other languages and for reviewers.

`python -m services.contracts.schemas` writes `docs/events/<event type>.v<version>.schema.json` for
versions that are new, if all that were released before stay readable, and nothing otherwise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from services.contracts.payloads import PAYLOADS, VERSIONS
from services.contracts.released import (
    RUN,
    SUMS,
    Folder,
    Review,
    checksum,
    file_name,
    left_over,
    review,
    sums_of,
    sums_text,
)

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "events"


class ContractError(Exception):
    """What was agreed would be broken; the text names event, field, reason and the way out."""


def rendered(event_type: str, model: type[BaseModel]) -> str:
    """The JSON Schema (draft 2020-12) of an event's payload, as the file holds it.

    Open, although the models refuse fields that nobody declared: they say what a producer may
    write, the schema what a consumer can rely on. A consumer that validated against a closed one
    would refuse the first event with a new field.
    """
    schema = model.model_json_schema()
    for part in (schema, *schema.get("$defs", {}).values()):
        part.pop("additionalProperties", None)
    document: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": event_type,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def check(
    folder: Path = FOLDER,
    models: Mapping[str, type[BaseModel]] = PAYLOADS,
    versions: Mapping[str, int] = VERSIONS,
) -> list[str]:
    """What is wrong with a folder of schemas, each with the way out; empty: nothing."""
    found, problems = _reviews(folder, models, versions)
    return problems + [
        f"{event_type}: {file_name(event_type, versions[event_type])} is not what the model says;"
        f" {RUN}, and review what changes for consumers"
        for event_type, it in found.items()
        if it.text is not None
    ]


def write(
    folder: Path = FOLDER,
    models: Mapping[str, type[BaseModel]] = PAYLOADS,
    versions: Mapping[str, int] = VERSIONS,
) -> None:
    """Write what is new. Raises ContractError, and writes nothing, if anything is wrong."""
    found, problems = _reviews(folder, models, versions)
    if problems:
        raise ContractError("\n".join(problems))
    new = {
        file_name(event_type, versions[event_type]): it.text
        for event_type, it in found.items()
        if it.text is not None
    }
    if not new:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in new.items():
        (folder / name).write_text(text, encoding="utf-8")
    sums = {**_read(folder).sums, **{name: checksum(text) for name, text in new.items()}}
    (folder / SUMS).write_text(sums_text(sums), encoding="utf-8")


def _reviews(
    folder: Path, models: Mapping[str, type[BaseModel]], versions: Mapping[str, int]
) -> tuple[dict[str, Review], list[str]]:
    there = _read(folder)
    found = {
        event_type: review(event_type, versions.get(event_type), rendered(event_type, model), there)
        for event_type, model in models.items()
    }
    problems = [problem for it in found.values() for problem in it.problems]
    return found, problems + left_over(list(models), there)


def _read(folder: Path) -> Folder:
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.schema.json")}
    sums = folder / SUMS
    return Folder(texts, sums_of(sums.read_text(encoding="utf-8") if sums.exists() else ""))


if __name__ == "__main__":
    try:
        write()
    except ContractError as error:
        sys.exit(str(error))
