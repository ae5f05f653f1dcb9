"""References to images that mean the same image tomorrow."""

import re
from typing import Final

_BARE_MAJOR: Final = re.compile(r"^v?\d{1,3}(-[a-z][\w.]*)*$")


def moves(tag: str) -> bool:
    """True of a tag that is given to another image with every release: `latest`, `17-trixie`.

    A word without a number and a bare major version always move. Whether `8.0` does depends on
    how the project counts; `infra.images.catalogue` knows it of the official images.
    """
    return not any(c.isdigit() for c in tag) or _BARE_MAJOR.match(tag) is not None


_REFERENCE: Final = re.compile(
    # A number after the first colon is a registry's port only where a path follows, else a tag.
    r"^(?P<repository>(?:[a-z0-9.-]+:\d+(?=/)|[a-z0-9._-]+)(?:/[a-z0-9._-]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?$"
)


def _fault(tag: str | None) -> str:
    return f"no digest, and the tag {tag!r} moves" if tag else "neither digest nor tag"


class ImageError(ValueError):
    """An image name cannot be resolved, or a reference is not exact enough to deploy."""


def check_reference(reference: str) -> str:
    """An image reference with a digest, or with an exact tag: neither `latest` nor `17` nor none.

    Raises:
        ImageError: not a reference, neither digest nor tag, or a tag that moves.
    """
    match = _REFERENCE.match(reference)
    if match is None:
        raise ImageError(
            f"{reference!r} is not an image reference; write it like "
            "'registry.example/team/image:1.2.3' or '…/image@sha256:<64 hex digits>'"
        )
    if match["digest"] is None and moves(match["tag"] or ""):
        raise ImageError(
            f"{reference!r} means another image tomorrow: it has {_fault(match['tag'])}; name a "
            "digest (@sha256:…) or an exact tag, like '17.5' or '1.2.3'"
        )
    return reference
