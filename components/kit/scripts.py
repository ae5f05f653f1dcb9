"""Scripts that containers run: files beside the component, with placeholders like `@DATA@`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_PLACEHOLDER: Final = re.compile(r"@([A-Z][A-Z_]*)@")


def filled(script: Path, values: Mapping[str, str | int]) -> str:
    """The script's text with every placeholder replaced, once: values are not searched again.

    Raises:
        ValueError: a placeholder without a value, or a value that no placeholder asks for.
    """
    text = script.read_text(encoding="utf-8")
    asked = set(_PLACEHOLDER.findall(text))
    if missing := sorted(asked - set(values)):
        raise ValueError(
            f"{script.name} asks for @{'@, @'.join(missing)}@, which nobody fills in, so the "
            "container would run it as it stands; give a value or correct the name"
        )
    if unknown := sorted(set(values) - asked):
        raise ValueError(
            f"{script.name} has no @{'@, @'.join(unknown)}@, so the value given would reach "
            "nobody; leave it out or correct the name"
        )
    return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), text)
