"""The root filesystem under every image: a release of Debian, made by mmdebstrap.

Sources: mmdebstrap(1); no mirror is named here, the machine's own apt is asked.
"""

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bootstrap.apt import own_lists, update_into
from bootstrap.images.recipes import INSTALLER, TRIXIE, Recipe
from bootstrap.steps import Report, StepFailed

ROLLING = "sid"
"""Fixes go straight into it, so it has no suite of them beside it."""

_APT_OPTIONS = (
    'Acquire::Languages "none"',
    'Acquire::Retries "3"',
    'APT::Install-Recommends "false"',
)
# A container needs no manuals or translations; licences stay. An image build that is cut
# short is thrown away whole, so waiting for the disk after every file buys nothing.
_DPKG_OPTIONS = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
    "force-unsafe-io",
)


def parse_sources(targets: Iterable[str], suite: str) -> list[str]:
    """Lines for sources.list from ``label|site`` lines; none if the machine has no Debian site."""
    suites = {"Debian": suite}
    if suite != ROLLING:
        suites["Debian-Security"] = f"{suite}-security"
    lines: dict[str, str] = {}
    for target in targets:
        label, _, site = target.partition("|")
        if label in suites and site and label not in lines:
            lines[label] = f"deb {site} {suites[label]} main"
    return list(lines.values()) if "Debian" in lines else []


def machine_sources(suite: str) -> list[str]:
    """Where this machine's apt gets Debian from, as lines for another release of it.

    Empty where apt knows of no Debian site: mmdebstrap then falls back to its own default.
    """
    if known := _sources_in_lists(suite, []):
        return known
    # The labels stand in the package lists, which images of Debian come without.
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(update_into(folder), capture_output=True, check=False)
        except OSError:
            return []
        return _sources_in_lists(suite, own_lists(folder))


def _sources_in_lists(suite: str, options: list[str]) -> list[str]:
    query = ["indextargets", "--format", "$(LABEL)|$(SITE)", "Created-By: Packages"]
    try:
        answer = subprocess.run(
            ["apt-get", *options, *query], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return []
    return parse_sources(answer.stdout.splitlines(), suite)


def make_root(recipe: Recipe, target: Path, report: Report) -> None:
    """Write the root filesystem of the release ``recipe`` is named for as a tar file.

    Raises:
        StepFailed: mmdebstrap is missing or failed.
    """
    if shutil.which("mmdebstrap") is None:
        raise StepFailed(
            "mmdebstrap: not found; base images are made with it, so install the package "
            "mmdebstrap (Debian and Ubuntu have it), or choose STACK=dev"
        )
    options = [f"--aptopt={option}" for option in _APT_OPTIONS]
    options += [f"--dpkgopt={option}" for option in _DPKG_OPTIONS]
    own = recipe.folder / "apt.conf"
    if own.exists():
        options.append(f"--aptopt={own}")
    script = TRIXIE.folder / INSTALLER
    report.run(
        [
            *("mmdebstrap", "--variant=minbase", "--format=tar", *options),
            f"--customize-hook=copy-in {shlex.quote(str(script))} /usr/local/sbin",
            *(recipe.name, target, *machine_sources(recipe.name)),
        ],
        on_line=lambda line: setattr(report, "status", line.removeprefix("I: ")),
    )
