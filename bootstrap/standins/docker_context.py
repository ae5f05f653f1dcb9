"""What a build sends to the engine: the context's files and the Dockerfile, and their hash."""

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bootstrap.standins.kinds import Properties, StandinError

# Name of a Dockerfile that does not come out of the context; kept out of the image by name.
_FOREIGN_DOCKERFILE = ".dockerfile.millrace"


@dataclass(frozen=True)
class BuildContext:
    """``files``: sorted paths below ``root`` that are sent. ``extra``: files by name and text."""

    root: Path
    files: Sequence[str]
    dockerfile: str  # its name within what is sent
    instructions: str  # its text
    extra: Mapping[str, str]

    def write(self, target: IO[bytes]) -> None:
        """Write the tar archive the engine builds from."""
        _archiving().create_archive(
            str(self.root), files=self.files, fileobj=target, extra_files=[*self.extra.items()]
        )

    def digest(self) -> str:
        """SHA-256 over names, modes and contents: equal when a build would see the same."""
        total = hashlib.sha256()
        for name in self.files:
            path = self.root / name
            status = path.lstat()
            total.update(
                f"{name}\0{stat.S_IFMT(status.st_mode) | status.st_mode & 0o777}\0".encode()
            )
            if stat.S_ISLNK(status.st_mode):
                total.update(os.readlink(path).encode())
            elif stat.S_ISREG(status.st_mode):
                with path.open("rb") as file:
                    total.update(hashlib.file_digest(file, "sha256").digest())
        total.update(f"\0{self.dockerfile}\0{self.instructions}".encode())
        return total.hexdigest()


def location_failure(inputs: Properties) -> tuple[str, str] | None:
    """(property, reason) when the context or the Dockerfile cannot be used as given."""
    try:
        read_context(inputs, list_files=False)
    except StandinError as error:
        name = "dockerfile" if "dockerfile" in str(error).split(" is ")[0] else "context"
        return name, str(error)
    return None


def read_context(inputs: Properties, *, list_files: bool = True) -> BuildContext:
    """The build context that ``context`` and ``dockerfile`` of an Image describe.

    Raises:
        StandinError: a folder or file is missing, or the kind of context is not served.
    """
    context: Any = inputs.get("context")
    given: str = (context and context.get("location")) or "."
    if "://" in given or given.startswith("git@") or given == "-":
        raise StandinError(
            f"context.location is {given!r}; this stand-in builds from folders only: check the "
            "sources out and name the folder"
        )
    root = Path(given).absolute()
    if not root.is_dir():
        raise StandinError(f"context.location is {given!r}, but there is no folder {root}")
    inline, path = _dockerfile(inputs, root)
    text = inline if inline is not None else path.read_text()
    inside = inline is None and path.is_relative_to(root)
    name = path.relative_to(root).as_posix() if inside else _FOREIGN_DOCKERFILE
    patterns = _ignore_patterns(root, path)
    files = _files(root, patterns, name) if list_files else []
    extra: dict[str, str] = {}
    if not inside:
        # Sent beside the context and listed as ignored: used for the build, never copied.
        extra = {".dockerignore": "\n".join([*patterns, name, ".dockerignore"]), name: text}
    return BuildContext(root, files, name, text, extra)


def _dockerfile(inputs: Properties, root: Path) -> tuple[str | None, Path]:
    given: Any = inputs.get("dockerfile") or {}
    inline, location = given.get("inline"), given.get("location")
    if inline is not None and location is not None:
        raise StandinError(
            "dockerfile is given twice, inline and as location: leave one of the two out"
        )
    if inline is not None:
        return str(inline), root / "Dockerfile"
    path = Path(location).absolute() if location is not None else root / "Dockerfile"
    if not path.is_file():
        raise StandinError(f"dockerfile.location is {location!r}, but there is no file {path}")
    return None, path


def _ignore_patterns(root: Path, dockerfile: Path) -> list[str]:
    """Patterns of the Dockerfile's own ignore file, else of the context's."""
    for path in (dockerfile.with_name(dockerfile.name + ".dockerignore"), root / ".dockerignore"):
        if path.is_file():
            lines = (line.strip() for line in path.read_text().splitlines())
            return [line for line in lines if line and not line.startswith("#")]
    return []


def _files(root: Path, patterns: list[str], dockerfile: str) -> list[str]:
    return sorted(_archiving().exclude_paths(str(root), list(patterns), dockerfile=dockerfile))


def _archiving() -> Any:
    from docker.utils import build  # noqa: PLC0415 (half the start-up time of a provider)

    return build
