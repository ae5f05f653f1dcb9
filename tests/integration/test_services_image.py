"""The services image, built from its Dockerfile with the engine's classic builder."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.errors import ContainerError

from tests.integration.containers import Containers

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def image(containers: Containers) -> Iterator[Any]:
    """Layers that did not change come from the engine's cache."""
    built, _ = containers.engine.images.build(
        path=str(ROOT),
        dockerfile="services/Dockerfile",
        buildargs={
            "BUILD_IMAGE": containers.image("python-build"),
            "RUNTIME_IMAGE": containers.image("python-runtime"),
        },
        rm=True,
        forcerm=True,
        labels=containers.labels,
    )
    yield built
    containers.engine.images.remove(built.id, force=True, noprune=True)


def run(containers: Containers, image: Any, *command: str, **options: Any) -> str:
    """What the command prints under the restrictions of a pod."""
    output: bytes = containers.engine.containers.run(
        image.id,
        list(command),
        remove=True,
        read_only=True,
        network_mode="none",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        tmpfs={"/tmp": "size=16m"},
        labels=containers.labels,
        **options,
    )
    return output.decode()


def test_every_entry_starts_on_a_read_only_root_as_a_high_uid(
    containers: Containers, image: Any
) -> None:
    script = """
import importlib, json, os, sys
names = ["rest_service", "outbox_relay", "event_worker", "migrate", "provision"]
import aiomysql  # it asks who it runs as
for name in names:
    importlib.import_module(f"services.{name}.__main__")
try:
    open("/app/new", "w")
    writable = True
except OSError:
    writable = False
print(json.dumps([os.getuid(), os.getgid(), writable, sys.prefix, sys.version_info[:2]]))
"""
    uid, gid, writable, prefix, version = json.loads(run(containers, image, "python", "-c", script))
    assert (uid, gid, writable, prefix) == (10001, 10001, False, "/app/.venv")
    assert version >= [3, 13]


def test_nothing_in_it_builds_or_installs(containers: Containers, image: Any) -> None:
    script = "command -v pip pip3 uv gcc cc make git curl wget || true"
    assert run(containers, image, "sh", "-c", script) == ""
    with pytest.raises(ContainerError, match="No module named pip"):
        run(containers, image, "python", "-m", "pip", "--version")


def test_it_holds_the_services_and_their_dependencies_only(
    containers: Containers, image: Any
) -> None:
    listing = run(containers, image, "sh", "-c", "ls -A /app /app/services")
    assert "infra" not in listing
    assert "pyproject.toml" not in listing
    with pytest.raises(ContainerError, match=r"No module named .*pulumi"):
        run(containers, image, "python", "-c", "import pulumi")


def test_its_bytecode_is_compiled_beforehand(containers: Containers, image: Any) -> None:
    script = """
import pathlib
sources = [p for p in pathlib.Path("/app/services").rglob("*.py")]
missing = [str(p) for p in sources if not list((p.parent / "__pycache__").glob(p.stem + ".*.pyc"))]
print(len(sources) > 20, missing)
"""
    assert run(containers, image, "python", "-c", script).strip() == "True []"


def test_a_service_without_its_environment_names_the_variable(
    containers: Containers, image: Any
) -> None:
    with pytest.raises(ContainerError, match="SERVICE_NAME: not set"):
        run(containers, image, "python", "-m", "services.rest_service")
