"""Markdown, as far as the reference needs it."""

import re
from collections.abc import Iterable, Mapping

_PART = re.compile(r"(<!-- reference: (\S+) -->\n).*?(<!-- /reference -->)", re.DOTALL)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table; its cells hold Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def fill(page: str, parts: Mapping[str, str]) -> str:
    """The page with the text between `<!-- reference: NAME -->` and `<!-- /reference -->` anew.

    Raises:
        KeyError: the page names a part that nobody writes.
    """
    return _PART.sub(lambda found: f"{found[1]}\n{parts[found[2]]}\n\n{found[3]}", page)
