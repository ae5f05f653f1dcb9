"""make smoke says in one sentence what is wrong."""

import io
from pathlib import Path

from rich.console import Console

from bootstrap.checkout import Checkout
from loadtests import smoke


def test_without_a_cluster_smoke_fails_with_one_sentence(tmp_path: Path) -> None:
    output = io.StringIO()
    fine = smoke.run(Checkout(tmp_path, tmp_path), Console(file=output, width=200))
    assert not fine
    assert output.getvalue().startswith("smoke failed: this checkout has no cluster")
    assert "make up" in output.getvalue()
