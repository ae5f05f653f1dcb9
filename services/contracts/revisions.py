"""Revisions of the gRPC APIs' contracts: copies in docs/grpc that nobody changes.

`python -m services.contracts.revisions` adds one when the contracts say something new. The newest
alone may get other words (comments), as the contracts have them. Whether callers of each can go on
is what `buf breaking` is asked, by a test of the integration tests: it is a program of its own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from services.contracts import messages
from services.contracts.released import SUMS, Folder, checksum, sums_of, sums_text

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "grpc"
RUN: Final = "run `.venv/bin/python -m services.contracts.revisions`"

_NAME: Final = re.compile(r"([1-9][0-9]*)/.+\.proto")


class RevisionError(Exception):
    """What was agreed was changed; the text names the file, the reason and the way out."""


def check(contracts: Path = messages.FOLDER, folder: Path = FOLDER) -> list[str]:
    """What is wrong with the revisions of `contracts`, each with the way out; empty: nothing.

    Raises CompilerError.
    """
    there = _read(folder)
    if problems := list(_touched(there)):
        return problems
    newest = max(numbers(folder), default=0)
    if not newest:
        return [f"there is no revision of the contracts; {RUN}"]
    if texts(contracts) == texts(folder / str(newest)):
        return []
    if meaning(contracts) == meaning(folder / str(newest)):
        return [f"revision {newest} has not the words of the contracts; {RUN}"]
    return [
        f"the contracts say something else than revision {newest}; {RUN}, which makes"
        f" {newest + 1} of them, and review what changes for callers"
    ]


def write(contracts: Path = messages.FOLDER, folder: Path = FOLDER) -> None:
    """Write what is new. Raises RevisionError, or CompilerError, and writes nothing then."""
    there = _read(folder)
    if problems := list(_touched(there)):
        raise RevisionError("\n".join(problems))
    newest = max(numbers(folder), default=0)
    new = texts(contracts)
    if newest and new == texts(folder / str(newest)):
        return
    said = meaning(contracts)
    number = newest if newest and said == meaning(folder / str(newest)) else newest + 1
    for name, text in new.items():
        path = folder / str(number) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    sums = {f"{number}/{name}": checksum(text) for name, text in new.items()}
    (folder / SUMS).write_text(sums_text({**there.sums, **sums}), encoding="utf-8")


def numbers(folder: Path = FOLDER) -> list[int]:
    """Of the revisions that there are, in their order."""
    return sorted(_numbers(texts(folder)))


def texts(folder: Path) -> dict[str, str]:
    """The contracts below a folder, by their paths there."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.proto"))
    }


def meaning(folder: Path) -> bytes:
    """What contracts say, without their words. Raises CompilerError."""
    with TemporaryDirectory() as scratch:
        out = Path(scratch) / "meaning.binpb"
        messages.run(f"--descriptor_set_out={out}", *texts(folder), folder=folder)
        return out.read_bytes()


def _numbers(names: Iterable[str]) -> set[int]:
    return {int(match[1]) for match in map(_NAME.fullmatch, names) if match}


def _read(folder: Path) -> Folder:
    sums = folder / SUMS
    said = sums.read_text(encoding="utf-8") if sums.exists() else ""
    return Folder(texts(folder), sums_of(said))


def _touched(there: Folder) -> Iterator[str]:
    restore = "restore it (`git restore docs/grpc`)"
    known = _numbers({*there.texts, *there.sums})
    for number in sorted({*range(1, max(known, default=0))} - known):
        yield f"revision {number} is missing, and later ones are not; {restore} with its lines"
    for name in sorted({*there.texts, *there.sums}):
        if not _NAME.fullmatch(name):
            yield f"{name} is of no revision; remove it and its line in {SUMS}"
        elif name not in there.texts:
            yield f"{name} is released and gone; {restore}"
        elif name not in there.sums:
            yield f"{name} has no line in {SUMS}, so it was never released; remove it, and {RUN}"
        elif checksum(there.texts[name]) != there.sums[name]:
            yield f"{name} was edited, and is released; {restore}, edit the contract, and {RUN}"


if __name__ == "__main__":
    try:
        write()
    except (RevisionError, messages.CompilerError) as error:
        sys.exit(str(error))
