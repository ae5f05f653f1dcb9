import os
from pathlib import Path

import pytest

from bootstrap import debian_tools
from bootstrap.checkout import Checkout
from bootstrap.debian_tools import Package, program
from bootstrap.steps import StepFailed

PACKAGE = Package("package", ("tool",))
APT = """#!/bin/sh
echo "$@" >> "$LOG"
case "$*" in *download*) touch package_1.0_amd64.deb ;; esac
"""
DPKG = """#!/bin/sh
mkdir -p "$3/usr/bin"
printf '#!/bin/sh\\n' > "$3/usr/bin/$HOLDS"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "repo", tmp_path / "cache")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose apt knows a site of Debian; what it was asked is in this file."""
    (tmp_path / "bin").mkdir()
    for name, text in (("apt-get", APT), ("dpkg-deb", DPKG)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("HOLDS", "tool")
    monkeypatch.setattr(debian_tools, "machine_sources", lambda suite: [f"deb site {suite} main"])
    return tmp_path / "log"


def test_a_program_is_taken_out_of_its_package_once(checkout: Checkout, log: Path) -> None:
    first = program(checkout, PACKAGE, "tool")
    asked = log.read_text().splitlines()

    assert first.name == "tool"
    assert os.access(first, os.R_OK)
    assert "update" in asked[0]
    assert "download package" in asked[1]
    assert program(checkout, PACKAGE, "tool") == first
    assert log.read_text().splitlines() == asked


def test_packages_of_a_later_day_are_fetched_anew(
    checkout: Checkout, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = program(checkout, PACKAGE, "tool")
    monkeypatch.setattr(debian_tools, "PACKAGES_AS_OF", "2099-01-01")

    assert program(checkout, PACKAGE, "tool") != first
    assert log.read_text().count("download") == 2


@pytest.mark.usefixtures("log")
def test_a_package_without_the_program_leaves_nothing_behind(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDS", "another")

    with pytest.raises(StepFailed, match="holds no usr/bin/tool any more"):
        program(checkout, PACKAGE, "tool")

    monkeypatch.setenv("HOLDS", "tool")
    assert program(checkout, PACKAGE, "tool").exists()


@pytest.mark.usefixtures("log")
def test_without_a_site_of_debian_the_one_on_path_is_used_or_asked_for(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian_tools, "machine_sources", lambda suite: [])
    with pytest.raises(StepFailed, match="install tool and put it on PATH"):
        program(checkout, PACKAGE, "tool")

    (tmp_path / "bin" / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "tool").chmod(0o755)

    assert program(checkout, PACKAGE, "tool") == tmp_path / "bin" / "tool"
