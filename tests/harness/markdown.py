"""What a Markdown page links to and names: just enough to check that all of it exists."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from posixpath import normpath

_FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1[`~]*\s*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(?<!`)(`+)(?!`)((?:(?!\n\n).)+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^()\s<>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?\s*$", re.MULTILINE)
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)
_NAMED = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")


def broken_links(pages: dict[str, str], exists: "set[str]") -> Iterator[str]:
    """A sentence per relative link that leads nowhere.

    Args:
        pages: path from the root to content, of every page.
        exists: every file and folder, by its path from the root.
    """
    for page, text in pages.items():
        for target in _targets(text):
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue  # another site
            place, _, anchor = target.partition("#")
            path = normpath(PurePosixPath(page).parent / place) if place else page
            if path not in exists:
                yield f"{page}: {target}: there is no {path}"
            elif anchor and anchor not in anchors(pages.get(path, "")):
                yield f"{page}: {target}: {path} has no heading with the anchor {anchor!r}"


def anchors(text: str) -> set[str]:
    """Where `#…` may lead on a page, as GitHub makes them of headings."""
    plain = _FENCE.sub("", text)
    found: dict[str, int] = {}
    for heading in _HEADING.findall(plain):
        shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower().strip()).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        if count:
            found[f"{slug}-{count}"] = 1
    return set(found) | set(_NAMED.findall(plain))


def _targets(text: str) -> list[str]:
    plain = _CODE.sub("", _FENCE.sub("", text))
    return [*_LINK.findall(plain), *_DEFINITION.findall(plain)]


def code_of(text: str) -> list[str]:
    """What stands in code style: every span, and every line of a fenced block."""
    spans = [span for _, span in _CODE.findall(_FENCE.sub("", text))]
    return spans + [line for block in _FENCE.finditer(text) for line in block[0].splitlines()[1:-1]]
