"""The images a Dockerfile builds on, so that a changed base makes a new build."""

import re
from collections.abc import Mapping

_WORD = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")
_FROM = re.compile(r"^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*$", re.IGNORECASE)
_COPY_FROM = re.compile(r"^COPY\s.*--from=(\S+)", re.IGNORECASE)
_ARG = re.compile(r"^ARG\s+(\w+)(?:=(.*))?$", re.IGNORECASE)


def base_images(instructions: str, build_args: Mapping[str, str]) -> list[str]:
    """References in FROM and COPY --from that are no stages of the same file, without repeats.

    ARG lines before the first FROM give defaults, ``build_args`` override them. A reference
    that stays empty is left out: the build itself will say what is missing.
    """
    values: dict[str, str] = {}
    stages = {"scratch"}
    found: dict[str, None] = {}
    seen_from = False
    for line in _logical_lines(instructions):
        if match := _ARG.match(line):
            if not seen_from:
                name, default = match.group(1), (match.group(2) or "").strip("\"'")
                values[name] = str(build_args.get(name, _expand(default, values)))
        elif match := _FROM.match(line):
            seen_from = True
            reference = _expand(match.group(1), values)
            if reference.lower() not in stages and reference:
                found[reference] = None
            if match.group(2):
                stages.add(match.group(2).lower())
        elif match := _COPY_FROM.match(line):
            reference = _expand(match.group(1), values)
            if reference.lower() not in stages and not reference.isdigit() and reference:
                found[reference] = None
    return list(found)


def _logical_lines(text: str) -> list[str]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [line.strip() for line in re.sub(r"\\\n", " ", "\n".join(lines)).split("\n")]


def _expand(text: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return values.get(match.group(1) or match.group(3)) or match.group(2) or ""

    return _WORD.sub(value, text)
