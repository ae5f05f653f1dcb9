"""The kinds of secrets that can be rotated. One more is a module with a `KIND`, and a line here."""

from collections.abc import Iterator
from typing import Final

from infra.model.records import Records
from operations.request import RefusedError
from operations.rotate import authority, kafka, mysql, postgres, redis, signing
from operations.rotate.kind import Kind

KINDS: Final = (mysql.KIND, postgres.KIND, redis.KIND, kafka.KIND, signing.KIND, authority.KIND)


def all_secrets(records: Records) -> Iterator[tuple[str, Kind]]:
    """Every secret that can be rotated, with its kind."""
    for kind in KINDS:
        for name in kind.secrets(records):
            yield name, kind


def chosen(text: str, records: Records) -> dict[str, Kind]:
    """By name the secrets that are meant: names and kinds with commas between, or `all`.

    Raises RefusedError when one is unknown, with those there are.
    """
    known = dict(all_secrets(records))
    found: dict[str, Kind] = {}
    for word in text.split(","):
        meant = {
            secret: kind for secret, kind in known.items() if word in (secret, kind.name, "all")
        }
        if not meant:
            said = f"there is no secret {word!r}" if word else "SECRET is not given"
            kinds = ", ".join(kind.name for kind in KINDS)
            raise RefusedError(
                f"{said}; known: {', '.join(known)} (`make secrets`), by kind: {kinds}, and all"
            )
        found |= meant
    return found
