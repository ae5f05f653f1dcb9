"""The pages that hold parts of the reference."""

from functools import cache
from pathlib import Path
from typing import Final

from docs.reference import edges, services, stack_file
from docs.reference.table import fill

_FOLDER: Final = Path(__file__).resolve().parent.parent
PAGES: Final = tuple(
    _FOLDER / name for name in ("configuration.md", "services.md", "architecture.md")
)


def current(page: Path) -> str:
    """What the page's file should hold: its own prose, and the reference as the code has it."""
    return fill(page.read_text(encoding="utf-8"), _parts())


@cache
def _parts() -> dict[str, str]:
    return {
        "stack-file": stack_file.sections(),
        "program-variables": stack_file.variables(),
        "service-variables": services.variables(),
        "diagram": edges.diagram(),
        "watching": edges.watching(),
        "edges": edges.listing(),
    }
