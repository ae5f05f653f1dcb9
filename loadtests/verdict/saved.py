"""`run.json`: a load run with its judgement, as it is kept and compared with later ones."""

import json
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from loadtests.verdict.checks import COMPLAINT, Check, Judgement
from loadtests.verdict.results import Run

FORMAT: Final = 1
"""Raised when a field of a run changes its meaning: files of another format are not compared."""

FILE: Final = "run.json"


class SavedRunError(Exception):
    """A saved run cannot be used; the text names the file, the reason and the way out."""


class Kept(BaseModel):
    """A run with what the gate said of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    passed: bool
    sentences: tuple[str, ...]
    checks: tuple[Check, ...]
    run: Run

    @property
    def untrusted(self) -> tuple[str, ...]:
        """Why its numbers are worth nothing, such as that it was cut short."""
        return tuple(check.sentence for check in self.checks if check.what.startswith(COMPLAINT))


def save(run: Run, judgement: Judgement, folder: Path) -> Path:
    """Write `run.json` into a folder."""
    path = folder / FILE
    kept = Kept(
        format=FORMAT,
        passed=judgement.passed,
        sentences=judgement.sentences,
        checks=judgement.checks,
        run=run,
    )
    path.write_text(kept.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return path


def load(path: Path) -> Run:
    """A saved run. Raises as ``read`` does."""
    return read(path).run


def read(path: Path) -> Kept:
    """What is saved in a file, or in the folder that holds it.

    Raises:
        SavedRunError: there is none, or it is none.
    """
    if path.is_dir():
        path = path / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SavedRunError(
            f"{path} cannot be read ({why}); name the folder of a run, or its {FILE}"
        ) from error
    return _parse(path, text)


def _parse(path: Path, text: str) -> Kept:
    try:
        found: object = json.loads(text)
    except ValueError as error:
        raise SavedRunError(f"{path} is no JSON ({error}); was its run cut short?") from error
    version: object = found.get("format") if isinstance(found, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if version != FORMAT:
        raise SavedRunError(
            f"{path} is of format {version!r} and this checkout reads format {FORMAT}; "
            "make the run again, or compare with the checkout that made it"
        )
    try:
        return Kept.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SavedRunError(
            f"{path} is no saved run: {where}: {first['msg']}; make the run again"
        ) from error
