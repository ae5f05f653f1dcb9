"""What backups and secrets there are, as tables."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from bootstrap.kube import Kube, KubeError
from infra.model import operations as names
from operations.jobs import NAMESPACE
from operations.request import Target

_SPEC: Final = "/etc/millrace/spec/spec.json"
_SECONDS: Final = 180
"""The archiver is given little of a processor, and of a bucket every manifest is read."""


def backups(kube: Kube, of: Target) -> list[Mapping[str, Any]]:
    """Asked of the archiver, which has the storage at hand: no Job has to start for it.

    Raises:
        KubeError: the archiver does not run, or the storage does not answer.
    """
    archiver = names.archiver(of.server, of.database)
    program = ("python", "-m", "services.backup", of.server.engine, "list", "--json")
    try:
        said = kube.run(
            *("exec", "-n", NAMESPACE, f"deploy/{archiver}", "--", *program, "--spec", _SPEC),
            timeout=_SECONDS,
        )
    except KubeError as error:
        raise KubeError(
            f"{archiver} does not tell which backups there are: {error}; "
            f"`kubectl -n {NAMESPACE} logs deploy/{archiver}` says how it is"
        ) from None
    rows = (json.loads(line) for line in said.splitlines() if line.startswith("{"))
    return [row for row in rows if "backup" in row]


_HEADS: Final = ("backup", "age", "size", "proven")


def show(say: Callable[[str], None], of: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Newest first; what is long and seldom read on a second line, so that no name is folded."""
    found = sorted(rows, key=lambda row: row["age_seconds"])
    if not found:
        say(f"{of}: no backup yet; `make backup` takes one")
        return
    head, *lines = _aligned([_HEADS, *(_cells(row) for row in found)])
    say(f"{of}\n{head}")
    for line, row in zip(lines, found, strict=True):
        sealed = "encrypted" if row["encrypted"] else "not encrypted"
        say(f"{line}\n    sha256 {row['sha256'][:12]}, at {row['position']}, {sealed}")


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["backup"],
        age(row["age_seconds"]),
        size(row["bytes"]),
        row["proven"] or row["proof"],
    )


def show_secrets(say: Callable[[str], None], rows: Iterable[tuple[str, str, str, str]]) -> None:
    """Name, kind, generation and phase of each."""
    cells = [
        (name, kind, generation, f"in the middle: {phase}" if phase else "")
        for name, kind, generation, phase in rows
    ]
    for line in _aligned([("secret", "kind", "generation", "rotation"), *cells]):
        say(line)


def _aligned(cells: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(line[at]) for line in cells) for at in range(len(cells[0]))]
    for line in cells:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield "  ".join(padded).rstrip()


def age(seconds: int) -> str:
    """`5 min`, `7 h`, `3 d`."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def size(count: int) -> str:
    """`1.5 MiB`."""
    value, units = float(count), ("B", "KiB", "MiB", "GiB", "TiB")
    for name in units:
        if value < 1024 or name == units[-1]:
            return f"{value:.0f} B" if name == "B" else f"{value:.1f} {name}"
        value /= 1024
    raise AssertionError
