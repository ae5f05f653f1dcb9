"""Programs that tests take out of Debian's packages, once per user: nothing is installed.

They are those of the release that the servers' images are made of, as of the same day, so that
rules are tested by what will evaluate them. apt checks what it fetches against Debian's signatures.
"""

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bootstrap.apt import own_lists
from bootstrap.checkout import Checkout
from bootstrap.images.debian import ROLLING, machine_sources
from bootstrap.images.recipes import PACKAGES_AS_OF
from bootstrap.steps import Report, StepFailed
from bootstrap.tools import locked


@dataclass(frozen=True)
class Package:
    """A package with programs that need nothing of it but themselves."""

    name: str
    programs: tuple[str, ...]


PROMTOOL = Package("promtool", ("promtool",))
ALERTMANAGER = Package("prometheus-alertmanager", ("amtool",))


def program(checkout: Checkout, package: Package, name: str) -> Path:
    """One of its programs, fetched if it is not there; where apt knows no site of Debian, the one
    on PATH.

    Raises:
        StepFailed: it is neither to be fetched here nor on PATH, or the package has no such file.
    """
    sources = machine_sources(ROLLING)
    # What is fetched anew, as images are, when the day or the sites change.
    said = "\n".join([PACKAGES_AS_OF, *sources])
    digest = hashlib.sha256(said.encode()).hexdigest()[:12]
    folder = checkout.cache / "tools" / f"debian-{package.name}-{digest}"
    if not sources and not folder.exists():
        found = shutil.which(name)
        if found is None:
            raise StepFailed(
                f"{name}: not on PATH, and this machine's apt knows no site of Debian to fetch the"
                f" package {package.name} from; install {name} and put it on PATH"
            )
        return Path(found)
    with locked(checkout.cache / "build" / f"{folder.name}.lock"):
        if not folder.exists():
            _install(package, sources, folder)
    return folder / name


def _install(package: Package, sources: list[str], target: Path) -> None:
    """Put its programs into the folder; whole or not at all."""
    draft = target.with_name(f"{target.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        _unpack(package, sources, Path(folder))
        for name in package.programs:
            found = Path(folder) / "root" / "usr" / "bin" / name
            if not found.exists():
                raise StepFailed(
                    f"Debian's package {package.name} holds no usr/bin/{name} any more"
                )
            shutil.copy2(found, draft / name)
    draft.rename(target)


def _unpack(package: Package, sources: list[str], folder: Path) -> None:
    report = Report(package.name, folder / "log")
    (folder / "lists").mkdir()
    listed = folder / "sources.list"
    listed.write_text("\n".join(sources) + "\n")
    options = [
        *own_lists(folder / "lists"),
        *("-o", f"Dir::Etc::sourcelist={listed}", "-o", "Dir::Etc::sourceparts=-"),
        *("-o", f"Dir::Cache={folder}", "-o", "Acquire::Languages=none"),
        # As for images of that release: its Release files are valid for a week.
        *("-o", "Acquire::Check-Valid-Until=false", "-o", "APT::Sandbox::User=root"),
    ]
    report.run(["apt-get", "-qq", *options, "update"])
    report.run(["apt-get", "-qq", *options, "download", package.name], cwd=folder)
    [archive] = folder.glob(f"{package.name}_*.deb")
    report.run(["dpkg-deb", "--extract", archive, folder / "root"])
