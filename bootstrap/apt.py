"""Package lists of our own, so that looking something up changes nothing of the system's."""

from pathlib import Path


def own_lists(folder: Path | str) -> list[str]:
    """Options that make an apt command keep its package lists in ``folder``."""
    return ["-o", f"Dir::State::lists={folder}", "-o", "Debug::NoLocking=1"]


def update_into(folder: Path | str) -> list[str]:
    """The command that fetches the lists of the machine's own sources into ``folder``."""
    return ["apt-get", "-qq", *own_lists(folder), "-o", "Acquire::Languages=none", "update"]
