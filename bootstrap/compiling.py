"""How far a Go build is: the packages it has to compile, weighed by the size of their sources.

Their number alone says little: most are small and compile first, and those that take minutes
have megabytes of generated code.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# Not asked for embedded files, go list takes packages that have some for stale, and all others
# that need them.
_FIELDS = "ImportPath,Dir,GoFiles,Stale,EmbedFiles"


def compile_sizes(
    package: str, flags: Sequence[str], work: Path, environment: Mapping[str, str]
) -> dict[str, int]:
    """Import path to bytes of source, for each package that the build cache does not hold.

    ``flags`` are the build's, since what is in the cache depends on them.
    """
    listed = subprocess.run(
        ["go", "list", "-deps", f"-json={_FIELDS}", *flags, package],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        it["ImportPath"]: sum((Path(it["Dir"]) / name).stat().st_size for name in it["GoFiles"])
        for it in _objects(listed.stdout)
        if it.get("Stale") and it.get("GoFiles")
    }


def _objects(text: str) -> Iterator[Any]:
    """JSON objects one after another, as ``go list`` prints them."""
    decoder = json.JSONDecoder()
    at = 0
    while at < len(text):
        found, end = decoder.raw_decode(text, at)
        yield found
        at = end + 1  # the newline


class Compiled:
    """Bytes of source compiled so far, from the lines of ``go build -v``.

    It prints a package when it begins with it, so the last few count as not done yet: as many as
    are compiled at once.
    """

    def __init__(self, sizes: Mapping[str, int], at_once: int | None = None) -> None:
        self.total = sum(sizes.values())
        self.done = 0
        self._sizes = sizes
        self._at_once = at_once or len(os.sched_getaffinity(0))
        self._begun: list[str] = []

    def begin(self, line: str) -> None:
        """Take note of one line; others than package names change nothing."""
        if line not in self._sizes:
            return
        self._begun.append(line)
        if len(self._begun) > self._at_once:
            self.done += self._sizes[self._begun.pop(0)]
