"""Reads what a Job is told: a JSON file of one model."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError


class SpecError(Exception):
    """The spec file is missing or wrong; the message names the file and every field at fault."""


S = TypeVar("S", bound=BaseModel)


def read(model: type[S], path: Path) -> S:
    """Read a spec file. Raises SpecError."""
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}; mount the spec there") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'file'}: {item['msg']}"
            for item in error.errors()
        )
        raise SpecError(f"{path}: {faults}; correct the spec") from None
