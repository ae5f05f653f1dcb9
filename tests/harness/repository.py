"""The repository's own files, for the tests that read them: what lies there, no list to keep."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_MADE = (".git", ".hypothesis", ".millrace", ".venv", "build")
"""Folders beside this repository's files that something else writes."""


@cache
def files() -> set[str]:
    """Every file and folder, by its path from the root."""
    paths = [path.relative_to(ROOT) for path in _files()]
    return {found.as_posix() for path in paths for found in (path, *path.parents)}


@cache
def texts() -> dict[str, str]:
    """Path from the root to content, of every text file but lock files and checksums."""
    found: dict[str, str] = {}
    for path in _files():
        if path.suffix in (".lock", ".sum"):
            continue
        try:
            found[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


def of_kind(*suffixes: str) -> dict[str, str]:
    """Those whose name ends so."""
    return {path: text for path, text in texts().items() if path.endswith(suffixes)}


def _files() -> Iterator[Path]:
    for folder, below, names in os.walk(ROOT):
        here = Path(folder)
        below[:] = sorted(
            name
            for name in below
            if not (here == ROOT and name in _MADE)
            and not name.endswith(("__pycache__", "_cache", ".egg-info"))
        )
        yield from (here / name for name in sorted(names))
