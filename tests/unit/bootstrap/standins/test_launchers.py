import os
import stat
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from bootstrap.standins.launchers import LAUNCHERS, write_launchers, write_plugin_cache

ROOT = Path(__file__).parents[4]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a space, a quote and a dollar in its path."""
    folder = tmp_path / "it's a $HOME" / "bin"
    root = tmp_path / "the repo"
    root.symlink_to(ROOT)
    write_launchers(folder, Path(sys.executable), root)
    return folder


def test_every_stand_in_has_an_executable_script_and_no_draft_is_left(place: Path) -> None:
    assert sorted(os.listdir(place)) == sorted(LAUNCHERS)
    for path in place.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o755


@pytest.mark.parametrize("name", sorted(LAUNCHERS))
def test_a_stand_in_prints_a_port_from_any_folder_and_leaves_with_its_engine(
    place: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('the wrong random')")
    with subprocess.Popen(
        [place / name, "127.0.0.1:1"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as plugin:
        assert plugin.stdout is not None
        assert plugin.stdin is not None
        assert plugin.stderr is not None
        assert 0 < int(plugin.stdout.readline()) < 65536
        plugin.stdin.close()  # what the engine's end does, however it ends
        assert plugin.wait(30) == 0
        assert plugin.stderr.read() == b""


def test_a_stand_in_leaves_quietly_when_interrupted(place: Path) -> None:
    with subprocess.Popen(
        [place / "pulumi-resource-random", "127.0.0.1:1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as plugin:
        assert plugin.stdout is not None
        assert plugin.stderr is not None
        plugin.stdout.readline()
        plugin.send_signal(2)
        assert plugin.wait(30) == 0
        assert plugin.stderr.read() == b""


def test_writing_again_replaces_what_was_there(place: Path) -> None:
    script = place / "pulumi-resource-tls"
    script.write_text("old")
    script.chmod(0o600)
    write_launchers(place, Path(sys.executable), ROOT)
    assert script.read_text().startswith("#!/bin/sh")
    assert os.access(script, os.X_OK)


def test_providers_can_be_written_as_installed_plugins_of_the_sdks_version(tmp_path: Path) -> None:
    written = write_plugin_cache(tmp_path, Path(sys.executable), ROOT)
    tls = tmp_path / "plugins" / f"resource-tls-v{version('pulumi-tls')}" / "pulumi-resource-tls"
    assert tls in written
    assert os.access(tls, os.X_OK)
    assert len(written) == 3
