"""The docker-build stand-in with the SDK's own classes, a real engine and a real registry."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from docker.errors import ImageNotFound, NotFound

from bootstrap.checkout import find_checkout
from bootstrap.engine import read_file
from bootstrap.images.build import in_engine
from bootstrap.images.recipes import REGISTRY, image_tag
from tests.integration.containers import Container, Containers, File
from tests.integration.containers import TestEnvironmentError as LackError
from tests.integration.standins.project import Project, interrupt

pytestmark = pytest.mark.timeout(900)  # dozens of commands that take seconds each alone

PORT = 5000
# In memory: a registry that was stopped has lost everything, as when an engine dies.
CONFIG = b"version: 0.1\nstorage: {inmemory: {}}\nhttp: {addr: ':5000'}\n"

DOCKERFILE = """\
ARG BASE
FROM ${BASE} AS first
COPY words.txt /words.txt
ARG WORD=none
LABEL word=${WORD}
FROM first AS never
COPY nowhere.txt /
"""
# Two stages, as the image of the services has: the first one is nobody's parent in the end.
STAGES = """\
ARG BASE
FROM ${{BASE}} AS first
LABEL millrace.test={mark}
ENV EARLY=1
COPY words.txt /words.txt
ENV LATE=1
FROM ${{BASE}}
LABEL millrace.test={mark}
COPY --from=first /words.txt /words.txt
"""
# These need a shell, so they are built on a real base image; they never come to a push.
FAILING = """\
ARG BASE
FROM ${BASE}
RUN echo "building with words" && false
"""
ENDLESS = """\
ARG BASE
FROM ${BASE}
RUN sleep 1000
"""
WITH_SHELL = {"target": "", "network": "none"}

PROGRAM = """
import pulumi, pulumi_docker_build as docker_build, pulumi_random as random
config = pulumi.Config()
word = random.RandomString("word", length=4, keepers={"epoch": config.get("epoch") or "1"})
image = docker_build.Image(
    "image", push=True, tags=[config.require("tag")], target=config.get("target"),
    network=config.get("network") or "default",
    context=docker_build.BuildContextArgs(location="context"),
    dockerfile=docker_build.DockerfileArgs(location="context/Dockerfile"),
    build_args={"BASE": config.require("base"), "WORD": word.result},
    labels={"millrace.test": "yes"})
pulumi.export("ref", image.ref)
pulumi.export("digest", image.digest)
pulumi.export("hash", image.context_hash)
"""


class Registry:
    """A registry of this test, with nothing in it."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self.address = f"localhost:{container.ports[PORT]}"
        self._wait()

    def empty(self) -> None:
        self._container.kill()
        self._container.start()
        self._wait()

    def _wait(self) -> None:
        wait_for(self._answers)

    def _answers(self) -> bool:
        with suppress(URLError, OSError), urlopen(f"http://{self.address}/v2/"):
            return True
        return False


@pytest.fixture(scope="module")
def registry(containers: Containers) -> Registry:
    # By its recipe: what runs under the registry's name may be k3d's.
    image = image_tag(REGISTRY, find_checkout().bin)
    if not in_engine(containers.engine, image):
        raise LackError(f"there is no image {image}: run `make test`, which builds it")
    container = containers.run(
        "standin-registry",
        image,
        ["docker-registry", "serve", "/config.yml"],
        uid=10001,
        ports=[PORT],
        files={"/config.yml": File(CONFIG)},
    )
    return Registry(container)


@pytest.fixture
def image_project(project: Project, containers: Containers) -> Iterator[Project]:
    context = project.folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "words.txt").write_text("one\n")
    (context / ".dockerignore").write_text("*.log\n")
    project.program(PROGRAM)
    project.config |= {
        "base": containers.image("pause"),
        "target": "first",
        # Where nothing listens: most of these tests never come to a push.
        "tag": f"localhost:1/standin-{os.getpid()}/image:test",
    }
    yield project
    with suppress(ImageNotFound, NotFound):
        containers.engine.images.remove(project.config["tag"], force=True)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, f"{condition} did not come true"
        time.sleep(0.05)


def listed(containers: Containers, **which: Any) -> list[Any]:
    """The engine's containers, of which other tests remove theirs while it is asked for each."""
    return containers.engine.containers.list(ignore_removed=True, **which)


def words(containers: Containers, ref: str) -> str:
    """What the image of the registry holds."""
    containers.engine.images.pull(ref)
    container = containers.engine.containers.create(ref, ["unused"])
    try:
        return read_file(container, "/words.txt").decode()
    finally:
        container.remove()


def test_an_image_lives_as_with_the_official_provider(
    image_project: Project, registry: Registry, containers: Containers
) -> None:
    project = image_project
    project.config["tag"] = f"{registry.address}/standin/image:test"
    # The word is unknown here, nothing is built.
    assert project.steps()["image"] == "create"
    assert not containers.engine.images.list(name=project.config["tag"])

    assert "Step 1/" in project.up()
    first = project.outputs()
    tag = project.config["tag"]
    assert first["ref"] == f"{tag}@{first['digest']}"
    assert words(containers, first["ref"]) == "one\n"
    labels = containers.engine.images.get(tag).labels
    assert labels["millrace.test"] == "yes"
    project.unchanged()

    # An ignored file makes no difference, a copied one does.
    (project.folder / "context" / "noise.log").write_text("x")
    project.unchanged()
    (project.folder / "context" / "words.txt").write_text("two\n")
    assert "~ 1 updated" in project.up()
    second = project.outputs()
    assert second["digest"] != first["digest"]
    assert words(containers, second["ref"]) == "two\n"

    # A build argument that is unknown until the update, and a new tag: the old one goes.
    project.config |= {"epoch": "2", "tag": f"{registry.address}/standin/image:other"}
    assert project.steps()["image"] == "update"
    project.up()
    third = project.outputs()
    assert third["digest"] != second["digest"]
    assert containers.engine.images.list(name=project.config["tag"])
    assert not containers.engine.images.list(name=tag)

    # The registry lost it: an update alone notices, and so does a refresh.
    registry.empty()
    assert project.steps()["image"] == "update"
    project.must("refresh", "--yes", "--skip-preview")
    assert "image" not in project.resources()
    project.up()
    assert words(containers, project.outputs()["ref"]) == "two\n"
    project.unchanged()

    project.must("destroy", "--yes", "--skip-preview")
    assert not containers.engine.images.list(name=project.config["tag"])


def test_an_update_leaves_no_layer_of_the_former_build_but_those_it_used_itself(
    image_project: Project, registry: Registry, containers: Containers
) -> None:
    project = image_project
    project.config |= {"tag": f"{registry.address}/standin/image:test", "target": ""}
    (project.folder / "context" / "Dockerfile").write_text(STAGES.format(mark=os.getpid()))

    def made_here() -> dict[str, str]:
        """Every layer of this test's build, by what its step was."""
        mark = f"millrace.test={os.getpid()}"
        images = containers.engine.images.list(all=True, filters={"label": mark})
        return {str(image.id): str(image.history()[0]["CreatedBy"]) for image in images}

    project.up()
    first = made_here()
    (project.folder / "context" / "words.txt").write_text("two\n")
    project.up()
    second = made_here()
    assert len(second) == len(first)
    kept = {step for layer, step in first.items() if layer in second}
    assert any("EARLY" in step for step in kept), "the cache of what did not change"
    assert not any("COPY" in step for step in kept)
    project.unchanged()


def test_a_failed_build_shows_the_step_and_leaves_nothing(
    image_project: Project, containers: Containers
) -> None:
    project = image_project
    (project.folder / "context" / "Dockerfile").write_text(FAILING)
    project.config |= WITH_SHELL | {"base": containers.image("python-runtime")}
    before = {c.id for c in listed(containers, all=True)}
    failed = project.up_fails()
    diagnostics = failed.split("Diagnostics:")[1]
    assert "the build failed at Step 3/" in diagnostics
    assert ': RUN echo "building with words" && false' in diagnostics
    assert "\n      building with words\n" in diagnostics
    assert "returned a non-zero code: 1" in diagnostics
    assert "image" not in project.resources()
    assert not containers.engine.images.list(name=project.config["tag"])
    after = listed(containers, all=True)
    assert not [c for c in after if c.id not in before and "building with" in str(c.attrs)]
    assert project.steps()["image"] == "create"


def test_an_interrupted_build_ends_at_once_and_leaves_nothing(
    image_project: Project, containers: Containers
) -> None:
    project = image_project
    (project.folder / "context" / "Dockerfile").write_text(ENDLESS)
    project.config |= WITH_SHELL | {"base": containers.image("python-runtime")}

    def building() -> bool:
        running = listed(containers)
        return any("sleep 1000" in str(c.attrs["Config"]["Cmd"]) for c in running)

    with project.interrupted_up() as update:
        wait_for(building)
        interrupt(update)
    wait_for(lambda: not building())
    assert not project.pending()
    assert "image" not in project.resources()
    assert "word" in project.resources()


def test_a_push_that_fails_leaves_no_tag(image_project: Project, containers: Containers) -> None:
    project = image_project
    assert f"{project.config['tag']} cannot be pushed" in project.up_fails()
    assert not containers.engine.images.list(name=project.config["tag"])
