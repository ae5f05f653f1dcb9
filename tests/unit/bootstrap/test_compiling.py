import os
import subprocess
from pathlib import Path

import pytest

from bootstrap.compiling import Compiled, compile_sizes


def test_a_big_package_moves_the_bar_as_far_as_it_is_big() -> None:
    compiled = Compiled({"small": 100, "big": 900}, at_once=1)
    compiled.begin("small")
    assert compiled.done == 0, "it has only begun"
    compiled.begin("big")
    assert (compiled.done, compiled.total) == (100, 1000)


def test_what_is_compiled_at_the_same_time_counts_once_it_must_be_done() -> None:
    compiled = Compiled({"a": 1, "b": 10, "c": 100}, at_once=2)
    for name in ("a", "b", "c"):
        compiled.begin(name)
    assert compiled.done == 1


def test_lines_that_name_no_package_change_nothing() -> None:
    compiled = Compiled({"a": 1}, at_once=1)
    for line in ("# a", "./main.go:3: broken", "", "a"):
        compiled.begin(line)
    assert compiled.done == 0


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A module of two packages that import little; one embeds a file that nobody built before."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "go.mod").write_text("module hello\n\ngo 1.26\n")
    (tmp_path / "inner" / "word.txt").write_text(os.urandom(8).hex())
    inner = 'package inner\n\nimport _ "embed"\n\n//go:embed word.txt\nvar Word string\n'
    (tmp_path / "inner" / "inner.go").write_text(inner)
    main = 'package main\n\nimport "hello/inner"\n\nfunc main() { print(inner.Word) }\n'
    (tmp_path / "main.go").write_text(main)
    return tmp_path


def test_only_what_the_build_cache_lacks_is_weighed(module: Path) -> None:
    sizes = compile_sizes(".", [], module, os.environ)
    size = (module / "inner" / "inner.go").stat().st_size
    assert sizes["hello/inner"] == size
    assert compile_sizes(".", ["-trimpath"], module, os.environ)["hello/inner"] == size
    subprocess.run(["go", "build", "./inner"], cwd=module, check=True)
    assert "hello/inner" not in compile_sizes(".", [], module, os.environ)
