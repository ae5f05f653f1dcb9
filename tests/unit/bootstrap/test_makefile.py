import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[3] / "Makefile"
HANGS_SECONDS = 60
PROGRAMS = ("pyright", "ruff", "lint-imports", "python")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile in a checkout whose programs say their name and do nothing."""
    root = tmp_path / "checkout"
    (root / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(MAKEFILE, root)
    for name in ("pyproject.toml", "uv.lock", ".venv/.synced"):
        (root / name).touch()
    for name in PROGRAMS:
        (root / ".venv" / "bin" / name).write_text(f"#!/bin/sh\necho {name}\n")
        (root / ".venv" / "bin" / name).chmod(0o755)
    return root


def make_check(root: Path, output: Path) -> int:
    # These tests may be run by `make check` themselves, whose own flags are not to be inherited.
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    with (
        output.open("w") as file,
        subprocess.Popen(
            ["make", "check", f"UV={root / 'uv.lock'}"],
            cwd=root,
            env={name: value for name, value in os.environ.items() if name not in outer},
            stdout=file,
            start_new_session=True,
        ) as process,
    ):
        try:
            return process.wait(HANGS_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)  # while it waits for a lock it heeds no other signal
            raise


def test_check_ends_though_somebody_holds_a_lock_on_the_file_it_writes_to(
    checkout: Path, tmp_path: Path
) -> None:
    """As dockerd does on /dev/null, and so on `make check > /dev/null`."""
    output = tmp_path / "output"
    output.touch()
    with output.open() as held:
        whole_file = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(held, fcntl.F_OFD_SETLK, whole_file)
        assert make_check(checkout, output) == 0
    assert set(PROGRAMS) == set(output.read_text().split())


def test_check_fails_if_one_of_its_parts_does(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".venv" / "bin" / "pyright").write_text("#!/bin/sh\nexit 3\n")
    assert make_check(checkout, tmp_path / "output") != 0
