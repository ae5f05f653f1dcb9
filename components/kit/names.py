"""Names that every object and label made from them can carry."""

import re
from typing import Final

_LABEL: Final = re.compile(r"^[a-z]([a-z0-9-]*[a-z0-9])?$")

LONGEST_NAME: Final = 52
"""A StatefulSet's pods carry `<name>-<10 hex digits>` in a label of at most 63 characters."""
BUILDERS_VARIABLES: Final = ("SERVICE_NAME", "SHUTDOWN_GRACE_SECONDS")
"""What the builder of workloads tells every process, beside <PORT>_PORT."""


def check_name(name: str, longest: int = LONGEST_NAME) -> str:
    """The name itself when every object and label made from it is valid.

    Raises:
        ValueError: too long, or not a DNS label that starts with a letter.
    """
    if len(name) > longest:
        raise ValueError(
            f"name {name!r} has {len(name)} characters, so labels made from it exceed 63 and the "
            f"API server refuses the object; shorten it to {longest}"
        )
    if _LABEL.match(name) is None:
        raise ValueError(
            f"name {name!r} is not a DNS label, so no Service can carry it; use lower-case "
            "letters, digits and '-', starting with a letter"
        )
    return name


def check_label(name: str) -> str:
    """The same of a name that nothing longer is made from, like a Secret's or a container's."""
    return check_name(name, longest=63)


def variable(name: str, what: str) -> str:
    """The environment variable of what is called `name`: (`redis-2`, `HOST`) is REDIS_2_HOST."""
    return f"{name}_{what}".upper().replace("-", "_")
