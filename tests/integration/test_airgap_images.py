"""Every published image can run what the components start in it."""

import json

import docker
import pytest

from bootstrap.checkout import find_checkout

COMMANDS = {
    "postgres": (["postgres", "--version"], "postgres (PostgreSQL) 17."),
    "redis": (["redis-server", "--version"], "v=8."),
    "kafka": (
        ["java", "-cp", "/opt/kafka/libs/*", "kafka.tools.StorageTool", "random-uuid"],
        "",
    ),
    "python-build": (["pip", "--version"], "(python 3.13)"),
    "python-runtime": (["python3", "--version"], "Python 3.13."),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_published_image_runs_its_program_as_any_user_on_a_read_only_root(name: str) -> None:
    command, expected = COMMANDS[name]
    images = json.loads(find_checkout().images_file.read_text())

    said = (
        docker.from_env()
        .containers.run(
            images[name],
            command,
            user="10005:10005",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            network_mode="none",
            tmpfs={"/tmp": ""},
            remove=True,
            stderr=True,
        )
        .decode()
    )

    assert expected in said
    assert said.strip()


def test_the_runtime_image_brings_nothing_that_installs_packages() -> None:
    images = json.loads(find_checkout().images_file.read_text())
    script = (
        "import importlib.util as u; print([n for n in ('pip', 'ensurepip') if u.find_spec(n)])"
    )

    said = docker.from_env().containers.run(
        images["python-runtime"], ["python3", "-c", script], network_mode="none", remove=True
    )

    assert said.decode().strip() == "[]"
