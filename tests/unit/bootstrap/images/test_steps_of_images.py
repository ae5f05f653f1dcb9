import json
import os
from pathlib import Path

import pytest

from bootstrap.checkout import Checkout
from bootstrap.images.build import follow, image_steps, superseded
from bootstrap.images.debian import parse_sources
from bootstrap.images.kafka_libraries import fetch_libraries, libraries_folder
from bootstrap.images.publish import published_images, pushed_digest
from bootstrap.images.recipes import RECIPES
from bootstrap.steps import Report, StepFailed
from bootstrap.tools import AIRGAP_TOOLS, OPTIONAL_TOOLS

DIGEST = "sha256:" + "0a" * 32


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path / "repo", tmp_path / "cache")
    made.root.mkdir()
    made.make_state()
    return made


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return Report("image: test", tmp_path / "log")


def test_every_image_has_a_step_and_only_those_with_compiled_programs_wait_for_tools(
    checkout: Checkout,
) -> None:
    steps = {step.name: step for step in image_steps(checkout, checkout.bin)}

    always = {recipe.name for recipe in RECIPES if not recipe.optional}
    assert set(steps) == {f"image: {name}" for name in always} | {"image: kafka libraries"}
    waiting = {name for name, step in steps.items() if any("tools" in n for n in step.needs)}
    assert waiting == {"image: node", "image: collector", "image: jaeger"}


def test_an_optional_image_has_a_step_where_it_is_asked_for(checkout: Checkout) -> None:
    plain = {step.name for step in image_steps(checkout, checkout.bin)}
    asked = {step.name: step for step in image_steps(checkout, checkout.bin, {"loki"})}

    assert set(asked) - plain == {"image: loki"}
    assert set(asked["image: loki"].needs) >= {"tools: loki", "registry"}


def test_images_need_nothing_that_no_step_provides(checkout: Checkout) -> None:
    optional = {recipe.name for recipe in RECIPES if recipe.optional}
    steps = image_steps(checkout, checkout.bin, optional)
    provided = {step.name for step in steps} | {
        *("engine", "registry"),
        *(f"tools: {tool.name}" for tool in (*AIRGAP_TOOLS, *OPTIONAL_TOOLS)),
    }

    for step in steps:
        assert set(step.needs) <= provided, step.name


def test_what_the_registry_itself_is_made_of_does_not_wait_for_it(checkout: Checkout) -> None:
    steps = {step.name: step for step in image_steps(checkout, checkout.bin)}

    assert "registry" not in steps["image: registry"].needs
    assert "registry" not in steps["image: trixie"].needs


def test_the_list_of_published_images_is_empty_before_the_first(checkout: Checkout) -> None:
    assert published_images(checkout) == {}


def test_a_list_of_published_images_cut_short_counts_as_none(checkout: Checkout) -> None:
    checkout.images_file.write_text('{"redis": ')

    assert published_images(checkout) == {}


def test_published_images_are_read_by_name(checkout: Checkout) -> None:
    listed = {"redis": f"localhost:30500/millrace/redis@{DIGEST}"}
    checkout.images_file.write_text(json.dumps(listed))

    assert published_images(checkout) == listed


def test_the_digest_comes_from_the_engines_account_of_a_push(report: Report) -> None:
    events = [
        {"status": "The push refers to repository [localhost:30500/millrace/redis]"},
        {"status": "Pushed", "id": "abc"},
        {"status": f"a1b2: digest: {DIGEST} size: 741"},
        {"progressDetail": {}, "aux": {"Tag": "a1b2", "Digest": DIGEST, "Size": 741}},
    ]

    assert pushed_digest(events, report) == DIGEST


def test_a_push_that_failed_says_why_and_what_to_look_at(report: Report) -> None:
    with pytest.raises(StepFailed, match="connection refused; is the checkout's registry running"):
        pushed_digest([{"error": "dial tcp 127.0.0.1:30500: connection refused"}], report)


def test_a_push_that_ended_without_a_digest_is_no_push(report: Report) -> None:
    with pytest.raises(StepFailed, match="without a digest"):
        pushed_digest([{"status": "Pushed"}], report)


def test_a_failed_build_shows_what_was_said_before_the_error(report: Report) -> None:
    events = [
        {"stream": "Step 2/3 : RUN install-packages nonsense\n"},
        {"stream": "E: Unable to locate package nonsense\n"},
        {"error": "returned a non-zero code: 100"},
    ]

    with pytest.raises(StepFailed, match=r"code: 100\n.*Step 2/3.*\n.*Unable to locate"):
        follow(events, report)
    assert "Unable to locate package nonsense" in report.log_path.read_text()


def test_a_build_stops_when_another_step_failed(report: Report) -> None:
    report.stop()

    with pytest.raises(StepFailed, match="another step failed"):
        follow([{"stream": "Step 1/9"}], report)


def test_of_each_image_the_two_newest_copies_are_kept(tmp_path: Path) -> None:
    for age, name in enumerate(
        ["node-00000000000a", "node-00000000000b", "node-base-00000000000c", "node-00000000000d"]
    ):
        (tmp_path / f"{name}.tar").touch()
        os.utime(tmp_path / f"{name}.tar", (1000 - age, 1000 - age))

    assert superseded(tmp_path / "node-00000000000a.tar") == [tmp_path / "node-00000000000d.tar"]


def test_debian_comes_from_where_the_machine_gets_its_own() -> None:
    targets = [
        "Node Source|https://packages.example/node",
        "Debian|http://mirror.example/debian",
        "Debian|http://other.example/debian",
        "Debian-Security|http://mirror.example/security",
        "",
    ]

    assert parse_sources(targets, "trixie") == [
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/security trixie-security main",
    ]


def test_a_machine_of_another_distribution_leaves_the_source_to_mmdebstrap() -> None:
    targets = ["Ubuntu|http://mirror.example/ubuntu", "Debian-Security|http://m.example/s"]

    assert parse_sources(targets, "trixie") == []


def test_kafkas_jars_are_fetched_once_and_whole(
    checkout: Checkout, report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text(
        "#!/bin/sh\n"
        f'echo "$*" >> {calls}\n'
        'for option; do case "$option" in -DoutputDirectory=*) out=${option#*=};; esac; done\n'
        'mkdir -p "$out" && touch "$out/kafka.jar"\n'
        f"test $(wc -l < {calls}) -ge 2\n"  # the first call fails halfway
    )
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{maven.parent}:/usr/bin:/bin")

    with pytest.raises(StepFailed):
        fetch_libraries(checkout.cache, report)
    assert not libraries_folder(checkout.cache).exists()

    folder = fetch_libraries(checkout.cache, report)
    assert [path.name for path in folder.iterdir()] == ["kafka.jar"]
    fetch_libraries(checkout.cache, report)
    assert len(calls.read_text().splitlines()) == 2


def test_without_maven_its_packages_are_named(
    checkout: Checkout, report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(StepFailed, match="apt-get install maven default-jre-headless"):
        fetch_libraries(checkout.cache, report)
