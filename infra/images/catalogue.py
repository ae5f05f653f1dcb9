"""The image catalogue: one name per image, and where this stack takes it from.

A name is resolved in this order: the stack file's `images.overrides`, then what the machine built
(`source: local`), or the official reference with its pinned digest (`source: official`).
`infra/images/images.lock.json` holds the official tags and the digests `make pin` found; a digest
is null until `make pin` has run where a container registry is reachable. Digests are never made up.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from components.kit.references import ImageError, check_reference

LOCK_FILE: Final = Path(__file__).with_name("images.lock.json")


_PATCHED: Final = re.compile(r"^v?\d+\.\d+\.\d+(-|$)")
_MINOR: Final = re.compile(r"^\d+\.\d+(-|$)")
_RELEASES: Final = {"postgres": _MINOR}
"""Repository to the form of a tag that names one release: PostgreSQL's versions have two numbers
since 10, everybody else's here three. The project's shorter tags move with its releases."""

_Table: Final = TypeAdapter(dict[str, str])


class LockedImage(BaseModel):
    """One row of the lock file: an official tag and the digest it stood for when pinned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repository: str
    tag: str
    digest: str | None = None

    @model_validator(mode="after")
    def _names_one_release(self) -> Self:
        if not _RELEASES.get(self.repository, _PATCHED).match(self.tag):
            numbers = "17.11" if self.repository in _RELEASES else "1.2.3"
            raise ValueError(
                f"{self.repository}:{self.tag} moves on with the project's next release, so two "
                f"nodes could run two versions; name one release in full, like {numbers}"
            )
        return self

    @property
    def reference(self) -> str:
        exact = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}:{self.tag}{exact}"


def read_lock(path: Path = LOCK_FILE) -> dict[str, LockedImage]:
    """The lock file: catalogue name to official tag and digest (null while not pinned)."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {name: LockedImage.model_validate(row) for name, row in rows.items()}


def read_local(path: Path | None) -> dict[str, str]:
    """What the machine built: catalogue name to reference, from bootstrap's JSON file.

    Raises:
        ImageError: no file is named, it is not there, or it is not a table of references.
    """
    if path is None:
        raise ImageError(
            "millrace:images.source is 'local', but MILLRACE_IMAGES_FILE is not set; run "
            '`make up`, or `eval "$(make -s env)"` in this shell, or set images.source to official'
        )
    try:
        rows: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ImageError(f"{path} (MILLRACE_IMAGES_FILE) does not exist; run `make up`") from None
    except json.JSONDecodeError as error:
        raise ImageError(f"{path} is not JSON ({error}); delete it and run `make up`") from None
    try:
        table = _Table.validate_python(rows)
    except ValidationError as error:
        raise ImageError(f"{path} is not a table of image references: {error}") from None
    return {name: check_reference(reference) for name, reference in table.items()}


class Catalogue:
    """Resolves names to references for one stack.

    Args:
        source: `official` or `local`, from the stack file.
        overrides: name to reference, from the stack file; wins over the source.
        local_file: the JSON file bootstrap wrote; read only when a name needs it.
    """

    def __init__(
        self,
        source: str,
        overrides: Mapping[str, str],
        local_file: Path | None = None,
        lock: Mapping[str, LockedImage] | None = None,
    ) -> None:
        self._source = source
        self._overrides = overrides
        self._local_file = local_file
        self._lock = lock

    def reference(self, name: str) -> str:
        """The full reference of an image.

        Raises:
            ImageError: names the image, why it has no reference, and what to do.
        """
        if name in self._overrides:
            return self._overrides[name]
        if self._source == "local":
            found = read_local(self._local_file).get(name)
            if found is None:
                raise ImageError(
                    f"{self._local_file} has no image {name!r}; run `make up` to build it, or give "
                    f"it in millrace:images.overrides.{name}"
                )
            return found
        lock = self._lock if self._lock is not None else read_lock()
        if name not in lock:
            raise ImageError(
                f"there is no official image {name!r}; give it in millrace:images.overrides.{name}"
            )
        return check_reference(lock[name].reference)

    def is_given(self, name: str) -> bool:
        """True when the stack file itself names the image."""
        return name in self._overrides
