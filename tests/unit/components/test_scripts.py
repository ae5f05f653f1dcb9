"""Scripts that containers run: files, whose placeholders are filled in and checked."""

import re
from pathlib import Path

import pytest

from components.kit.scripts import filled
from tests.harness.composed import STACKS, composed


@pytest.fixture
def script(tmp_path: Path) -> Path:
    made = tmp_path / "start.sh"
    made.write_text('#!/bin/sh\nexec server "@DATA@" --port @PORT@ --also @DATA@/more "$@"\n')
    return made


def test_every_placeholder_gets_its_value(script: Path) -> None:
    text = filled(script, {"DATA": "/data", "PORT": 4000})
    assert text == '#!/bin/sh\nexec server "/data" --port 4000 --also /data/more "$@"\n'


def test_a_placeholder_without_a_value_is_refused(script: Path) -> None:
    with pytest.raises(ValueError, match=r"start.sh asks for @PORT@, which nobody fills in"):
        filled(script, {"DATA": "/data"})


def test_a_value_without_a_placeholder_is_refused(script: Path) -> None:
    with pytest.raises(ValueError, match=r"start.sh has no @PROT@, .*correct the name"):
        filled(script, {"DATA": "/data", "PORT": 1, "PROT": 2})


def test_a_value_that_looks_like_a_placeholder_stays_what_it_is(script: Path) -> None:
    assert '"@PORT@"' in filled(script, {"DATA": "@PORT@", "PORT": 1})


@pytest.mark.parametrize("stack", STACKS)
def test_no_config_map_holds_a_placeholder(stack: str) -> None:
    for made in composed(stack).of("ConfigMap"):
        for key, text in made.inputs["data"].items():
            assert not re.search(r"@[A-Z_]+@", text), f"{made.name}/{key}"
