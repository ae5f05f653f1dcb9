"""Find the digests of the official images and keep them in `infra/images/images.lock.json`.

`python -m infra.images.pin` (part of `make pin`), on a machine that reaches the images' registry
and has a container engine. All or nothing: if one cannot be resolved, the file stays as it is.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from components.kit.references import check_reference
from infra.images.catalogue import LOCK_FILE, LockedImage, read_lock

Resolve = Callable[[str, str], str]
"""Repository and tag to the digest (`sha256:…`) the registry has for them now."""


class PinError(Exception):
    """A digest could not be found; names the image, the reason and the way out."""


def pin(lock: Mapping[str, LockedImage], resolve: Resolve) -> dict[str, LockedImage]:
    """The same images with the digests their tags stand for now.

    Raises:
        PinError: an image cannot be resolved, or the answer is not a digest.
    """
    return {name: _pinned(name, image, resolve) for name, image in sorted(lock.items())}


def _pinned(name: str, image: LockedImage, resolve: Resolve) -> LockedImage:
    digest = resolve(image.repository, image.tag)
    pinned = image.model_copy(update={"digest": digest})
    try:
        check_reference(pinned.reference)
    except ValueError as error:
        raise PinError(f"{name}: the registry answered {digest!r}, no digest: {error}") from error
    return pinned


def ask_registry(repository: str, tag: str) -> str:
    """The digest of an image by way of the container engine, without pulling it.

    Raises:
        PinError: no engine, or the engine does not reach the registry, or it has no such image.
    """
    import docker  # noqa: PLC0415 - only this command needs an engine
    from docker.errors import APIError, DockerException  # noqa: PLC0415

    image = f"{repository}:{tag}"
    try:
        client = docker.from_env()
    except DockerException as error:
        raise PinError(
            f"{image}: no container engine answers ({error}); start one, or run `make pin` on a "
            "machine that has one"
        ) from error
    try:
        images: Any = client.images  # its types are incomplete
        return str(images.get_registry_data(image).id)
    except APIError as error:
        reason = error.explanation or str(error)
        raise PinError(
            f"{image}: the registry gives no digest ({reason}); run `make pin` where the image "
            "registry is reachable. Nothing was written"
        ) from error
    finally:
        client.close()


def write_lock(lock: Mapping[str, LockedImage], path: Path = LOCK_FILE) -> None:
    """Replace the lock file, in one step."""
    text = json.dumps(
        {name: lock[name].model_dump() for name in sorted(lock)}, indent=2, ensure_ascii=False
    )
    draft = path.with_suffix(".new")
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(path)


def main(resolve: Resolve = ask_registry, path: Path = LOCK_FILE) -> int:
    """Pin every image; 0 when the file now holds a digest for each."""
    before = read_lock(path)
    try:
        after = pin(before, resolve)
    except PinError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    write_lock(after, path)
    for name, image in after.items():
        state = "unchanged" if before[name] == image else "pinned"
        sys.stdout.write(f"{name}: {image.reference} ({state})\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
