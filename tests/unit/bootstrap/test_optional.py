"""What takes long to make is made for the stacks that have it, and for no other."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.checkout import Checkout
from bootstrap.images.recipes import RECIPES
from bootstrap.lifecycle import airgap_builds
from bootstrap.optional import asked_for, of_settings
from bootstrap.tools import OPTIONAL_TOOLS

LOCAL = {"millrace:images": {"source": "local"}}
LOGS = {"millrace:logs": {"enabled": True}}
OURS = {"source": "local", "overrides": {"loki": "mirror.example/loki:3.7.8"}}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path / "repo", tmp_path / "cache")
    made.root.mkdir()
    made.make_state()
    return made


def test_a_stack_with_logs_asks_for_loki() -> None:
    assert of_settings(LOCAL | LOGS) == {"loki"}


@pytest.mark.parametrize(
    "config",
    [
        {},
        LOCAL,
        LOCAL | {"millrace:logs": {}},
        LOCAL | {"millrace:logs": {"enabled": False}},
        LOCAL | {"millrace:logs": None},
        LOCAL | {"millrace:logs": ["enabled"]},
        LOGS,
        LOGS | {"millrace:images": {"source": "official"}},
        LOGS | {"millrace:images": OURS},
    ],
    ids=[
        *("nothing", "no-section", "empty", "off", "null", "no-table"),
        *("no-source", "official", "image-given"),
    ],
)
def test_no_other_stack_does(config: dict[str, Any]) -> None:
    assert of_settings(config) == frozenset()


def test_it_is_the_stack_file_that_says_so(checkout: Checkout) -> None:
    (checkout.root / "Pulumi.mine.yaml").write_text(yaml.safe_dump({"config": LOCAL | LOGS}))
    (checkout.root / "Pulumi.empty.yaml").touch()

    assert asked_for(checkout, "mine") == {"loki"}
    assert asked_for(checkout, "empty") == frozenset()
    assert asked_for(checkout, "absent") == frozenset()


def test_without_being_asked_for_nothing_of_it_is_fetched_compiled_or_made(
    checkout: Checkout,
) -> None:
    plain = {step.name for step in airgap_builds(checkout, ())}
    asked = {step.name for step in airgap_builds(checkout, {"loki"})}

    assert asked - plain == {"modules: loki", "tools: loki", "image: loki"}
    assert not any("loki" in name for name in plain)


def test_what_is_optional_as_a_tool_is_so_as_an_image() -> None:
    optional = {recipe.name: recipe.programs for recipe in RECIPES if recipe.optional}

    assert {name for programs in optional.values() for name in programs} == {
        tool.name for tool in OPTIONAL_TOOLS
    }
    assert of_settings(LOCAL | LOGS) <= set(optional)
