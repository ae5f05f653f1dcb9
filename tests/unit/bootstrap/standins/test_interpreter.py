import sys
from pathlib import Path

import pytest

from bootstrap.standins.interpreter import (
    Interpreter,
    find_interpreter,
    installed,
    plugin_declarations,
    top_level,
)

OWN = Interpreter(Path(sys.executable), Path(sys.prefix))


def environment(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    return folder


def test_virtualenv_is_relative_to_pulumi_yaml(tmp_path: Path) -> None:
    made = environment(tmp_path / "my venv")
    found = find_interpreter({"virtualenv": "my venv"}, tmp_path, tmp_path / "infra", {})
    assert found == Interpreter(made / "bin" / "python", made)


@pytest.mark.parametrize("options", [{"toolchain": "uv"}, {}])
def test_the_uv_environment_lies_beside_the_nearest_lock(
    tmp_path: Path, options: dict[str, str]
) -> None:
    (tmp_path / "uv.lock").touch()
    (tmp_path / "infra").mkdir()
    made = environment(tmp_path / ".venv")
    found = find_interpreter(options, tmp_path, tmp_path / "infra", {})
    assert found.environment == made


def test_uv_project_environment_is_followed(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").touch()
    made = environment(tmp_path / "elsewhere")
    given = {"UV_PROJECT_ENVIRONMENT": str(made)}
    assert find_interpreter({}, tmp_path, tmp_path, given).environment == made


def test_without_options_it_is_the_hosts_own(tmp_path: Path) -> None:
    assert find_interpreter({}, tmp_path, tmp_path, {}).python == Path(sys.executable)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"virtualenv": "nowhere"}, "virtualenv is 'nowhere'.*`pulumi install`"),
        ({"toolchain": "poetry"}, "toolchain is 'poetry'.*set `toolchain: uv`"),
        ({"toolchain": "uv"}, "has no environment yet"),
    ],
)
def test_an_environment_that_is_not_there_is_refused(
    tmp_path: Path, options: dict[str, str], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        find_interpreter(options, tmp_path, tmp_path, {})


def test_activation_puts_the_environment_first() -> None:
    given = {"PATH": "/usr/bin", "PYTHONHOME": "/x", "VIRTUAL_ENV": "/old"}
    found = Interpreter(Path("/e/bin/python"), Path("/e")).activated(given)
    assert found == {"PATH": "/e/bin:/usr/bin", "VIRTUAL_ENV": "/e"}


def test_installed_sdks_name_their_plugins_and_versions() -> None:
    found = {item["name"]: item["version"] for item in plugin_declarations(OWN)}
    assert found["kubernetes"] == "4.25.0"
    assert {"docker-build", "random", "tls"} <= set(found)
    assert "policy" not in found


def test_dependencies_of_dependencies_are_not_top_level() -> None:
    found = installed(OWN)
    top = set(top_level(found))
    assert "grpcio" in found
    assert "grpcio" not in top
    assert "pulumi-random" in top
