"""Hashes: of what rolls pods when it changes, and of what makes another object."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import pulumi

from components.kit.args import Text

CONFIG_HASH: Final = "millrace.dev/config-hash"
"""Annotation of a pod template."""


def config_hash(parts: Mapping[str, Text]) -> pulumi.Output[str]:
    """A hash of everything named, for an annotation that rolls the pods when any of it changes.

    Not secret, though it may depend on secrets: what it hashes of a secret is `Files.version`.
    """
    text = pulumi.Output.json_dumps(dict(parts), sort_keys=True)
    return pulumi.Output.unsecret(text).apply(digest)


def digest(text: str) -> str:
    """The first 16 hex digits of the SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(value: object) -> Any:
    """Nested resource arguments as dicts and lists (Outputs untouched), fit for hashing."""
    if value is None or isinstance(value, str | int | float | bool | pulumi.Output):
        return cast("Any", value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in cast("Mapping[str, object]", value).items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in cast("Sequence[object]", value)]
    return {key: plain(item) for key, item in vars(value).items()}


def spec_hash(value: object) -> pulumi.Output[str]:
    """A hash of whole resource arguments, 8 hex digits: part of an object's name."""
    text = pulumi.Output.json_dumps(plain(value), sort_keys=True)
    return pulumi.Output.unsecret(text).apply(lambda known: digest(known)[:8])
