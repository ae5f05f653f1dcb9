"""What the tests of whole paths wait for, and where they look."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path as File

from tests.harness.collector import Receiver
from tests.harness.span_trees import Path, drawn
from tests.harness.whole_paths import Caller
from tests.integration.servers import eventually

SECONDS = 90


async def whole(path: Path, collector: Receiver, caller: Caller) -> None:
    """Wait until the caller's trace is all of `path`."""
    lacks: list[str] = []

    async def complete() -> bool:
        lacks[:] = path.lacks(collector.seen, caller.trace, caller.span)
        return not lacks

    try:
        await eventually(complete, SECONDS)
    except AssertionError:
        raise AssertionError("\n".join([*lacks, drawn(collector.seen, caller.trace)])) from None


def services_that_logged(needle: str, logs: Iterable[File]) -> set[str]:
    """Who has it in a line."""
    return {
        json.loads(line)["service"]
        for log in logs
        for line in log.read_text().splitlines()
        if needle in line
    }
