import re
from pathlib import Path

import pytest

from bootstrap import tools
from bootstrap.checkout import Checkout
from bootstrap.steps import Report, StepFailed
from bootstrap.tools import GoTool, check_go, tool_folder, tool_path, tool_steps

HELLO = """package main

import "fmt"

var word = "unset"

func main() { fmt.Println(word) }
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout with one tiny Go tool and nothing else."""
    folder = tmp_path / "repo" / "bootstrap" / "go" / "hello"
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text("module hello\n\ngo 1.26\n")
    (folder / "main.go").write_text(HELLO)
    made = Checkout(tmp_path / "repo", tmp_path / "cache")
    made.make_state()
    return made


TOOL = GoTool("hello", "1.0", "hello", variables={"main.word": "set"}, names=["hello", "greet"])


def build_by_steps(checkout: Checkout) -> list[str]:
    """Run the tool's steps in order; the names of those that had something to do."""
    worked: list[str] = []
    for step in tool_steps(checkout, [TOOL]):
        if not step.is_done():
            step.run(Report(step.name, checkout.logs / "log"))
            worked.append(step.name)
    return worked


def test_a_tool_is_built_linked_and_then_left_alone(checkout: Checkout) -> None:
    assert build_by_steps(checkout) == ["modules: hello", "tools: hello"]
    assert (checkout.bin / "greet").samefile(tool_path(checkout, TOOL))
    assert build_by_steps(checkout) == []


def test_a_second_checkout_finds_the_tool_in_the_cache(checkout: Checkout, tmp_path: Path) -> None:
    build_by_steps(checkout)
    (tmp_path / "other").symlink_to(checkout.root)
    second = Checkout(tmp_path / "second", checkout.cache)
    (second.root / "bootstrap").mkdir(parents=True)
    (second.root / "bootstrap" / "go").symlink_to(checkout.root / "bootstrap" / "go")
    second.make_state()
    assert build_by_steps(second) == ["tools: hello"], "only the link is missing"
    assert (second.bin / "hello").samefile(tool_path(checkout, TOOL))


@pytest.mark.parametrize("file", ["go.mod", "main.go", "more.go"])
def test_any_change_of_source_is_another_folder(checkout: Checkout, file: str) -> None:
    before = tool_folder(checkout, TOOL)
    path = checkout.root / "bootstrap" / "go" / "hello" / file
    path.write_text((path.read_text() if path.exists() else "package main\n") + "// changed\n")
    assert tool_folder(checkout, TOOL) != before


def test_a_build_that_fails_leaves_nothing_that_looks_built(checkout: Checkout) -> None:
    (checkout.root / "bootstrap" / "go" / "hello" / "main.go").write_text("package main\nbroken\n")
    with pytest.raises(StepFailed, match="syntax error"):
        build_by_steps(checkout)
    assert not tool_path(checkout, TOOL).exists()
    (checkout.root / "bootstrap" / "go" / "hello" / "main.go").write_text(HELLO)
    assert build_by_steps(checkout) == ["modules: hello", "tools: hello"], "a retry works"


def test_a_missing_go_is_told_with_the_version_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(StepFailed, match=r"install Go 1\.26"):
        check_go()


@pytest.mark.parametrize("version", ["1.19.8", "1.26", "1.26.3"])
def test_an_old_go_is_told_with_the_version_to_install(
    version: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = tmp_path / "go"
    old.write_text(f"#!/bin/sh\necho go{version}\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(StepFailed, match=rf"go{re.escape(version)} is older"):
        check_go()


def test_a_module_asks_for_no_newer_go_than_people_are_told() -> None:
    for tool in (*tools.AIRGAP_TOOLS, *tools.OPTIONAL_TOOLS, *tools.TEST_TOOLS):
        text = (Path(tools.__file__).parent / "go" / tool.name / "go.mod").read_text()
        (asked,) = re.findall(r"(?m)^go (\S+)$", text)
        assert tuple(map(int, asked.split("."))) <= tool.go, tool.name


def test_what_everybody_builds_asks_for_no_newer_go_than_the_doctor() -> None:
    for tool in (*tools.AIRGAP_TOOLS, *tools.TEST_TOOLS):
        assert tool.go <= tools.MINIMUM_GO, tool.name


def test_every_pattern_of_packages_is_a_flag_of_its_own_to_the_compiler() -> None:
    tool = GoTool(name="t", version="1", binary="t", unoptimised=("a.org/...", "b.org/c/..."))
    assert tool.gcflags == ["-gcflags", "a.org/...=-N -l", "-gcflags", "b.org/c/...=-N -l"]
    assert TOOL.gcflags == []


def test_every_tool_has_a_module_with_checksums() -> None:
    go = Path(tools.__file__).parent / "go"
    for tool in (*tools.AIRGAP_TOOLS, *tools.OPTIONAL_TOOLS, *tools.TEST_TOOLS):
        assert (go / tool.name / "go.mod").exists(), tool.name
        assert (go / tool.name / "go.sum").read_text().strip(), tool.name


def modules_of(tool: GoTool) -> dict[str, str]:
    """Module path to version, replaced ones as what they are replaced by."""
    text = (Path(tools.__file__).parent / "go" / tool.name / "go.mod").read_text()
    text = re.sub(r"(?ms)^exclude \(.*?^\)", "", text)
    line = r"(?m)^(?:require|replace)?\s*(\S+)(?: => \S+)? (v\S+)(?: // indirect)?$"
    return dict(re.findall(line, text))


# What the pairs are for: docs/decisions/0021.
@pytest.mark.parametrize(
    ("follower", "leader", "apart"),
    [
        (tools.COREDNS, tools.KUBERNETES, ()),
        (
            tools.PROVIDER_KUBERNETES,
            tools.PULUMI,
            # The provider's own: it compiles with no other.
            (
                *("k8s.io/", "sigs.k8s.io/", "github.com/pulumi/pulumi/"),
                # The provider's are the newer ones; hardly anything is built upon them.
                *("github.com/Azure/go-ansiterm", "github.com/moby/term"),
                *("github.com/santhosh-tekuri/jsonschema/v5", "github.com/atotto/clipboard"),
            ),
        ),
    ],
    ids=["coredns", "provider-kubernetes"],
)
def test_two_tools_share_what_they_compile(
    follower: GoTool, leader: GoTool, apart: tuple[str, ...]
) -> None:
    """A module at another version is compiled twice, with everything that is built upon it."""
    theirs = modules_of(leader)
    ours = {name: it for name, it in modules_of(follower).items() if not name.startswith(apart)}
    behind = {name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]}
    assert not behind, "raise these in the follower's go.mod"
