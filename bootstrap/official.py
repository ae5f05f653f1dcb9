"""Official releases: downloaded by pinned checksum, unpacked into the user's cache, linked."""

import hashlib
import os
import platform
import re
import shutil
import tarfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bootstrap.builder import define_builder
from bootstrap.checkout import Checkout
from bootstrap.steps import Report, Step, StepFailed
from bootstrap.tools import locked

CATALOGUE = Path(__file__).parent / "official.toml"
CHUNK = 1 << 20


@dataclass(frozen=True)
class Release:
    """One archive for this machine's architecture; ``sha256`` is empty until pinned."""

    name: str
    version: str
    url: str
    sha256: str
    programs: Sequence[str]

    @property
    def pinned(self) -> bool:
        return bool(self.sha256)


def read_releases(
    catalogue: Path = CATALOGUE, machine: str = platform.machine()
) -> dict[str, Release]:
    """The catalogue for one architecture, by name.

    Raises:
        StepFailed: the vendors publish nothing for ``machine``.
    """
    releases: dict[str, Release] = {}
    for name, entry in tomllib.loads(catalogue.read_text()).items():
        entry_arch: Mapping[str, str] = entry["arch"]
        if machine not in entry_arch:
            raise StepFailed(f"{name}: no official release for {machine}, only {list(entry_arch)}")
        url = str(entry["url"]).format(version=entry["version"], arch=entry_arch[machine])
        releases[name] = Release(
            name, entry["version"], url, entry["sha256"][machine], tuple(entry["programs"])
        )
    return releases


def fetch(url: str, target: Path, report: Report) -> str:
    """Download ``url`` to ``target``; the SHA-256 of what came, in hex."""
    digest = hashlib.sha256()
    try:
        with (
            httpx.stream("GET", url, follow_redirects=True, timeout=60) as response,
            target.open("wb") as file,
        ):
            response.raise_for_status()
            total = int(response.headers.get("content-length", 0))
            for chunk in response.iter_bytes(CHUNK):
                file.write(chunk)
                digest.update(chunk)
                report.progress(file.tell(), total or file.tell())
    except httpx.HTTPError as error:
        raise StepFailed(
            f"{url}: {error}; where vendors' sites are out of reach, STACK=airgap needs none"
        ) from error
    return digest.hexdigest()


def folder_of(checkout: Checkout, release: Release) -> Path:
    return checkout.cache / "tools" / f"official-{release.name}-{release.version}"


def install(checkout: Checkout, release: Release, report: Report) -> None:
    """Download, verify and unpack; whole or not at all.

    Raises:
        StepFailed: the checksum is not the pinned one, or the archive lacks a program.
    """
    folder = folder_of(checkout, release)
    with locked(checkout.cache / "build" / f"{folder.name}.lock"):
        if folder.exists():
            return
        draft = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        (draft / "bin").mkdir(parents=True)
        archive = draft / "archive.tar.gz"
        report.say(f"downloading {release.name} {release.version}")
        found = fetch(release.url, archive, report)
        if found != release.sha256:
            raise StepFailed(
                f"{release.name} {release.version}: SHA-256 is {found}, pinned is "
                f"{release.sha256} in bootstrap/official.toml; nothing was installed"
            )
        _unpack(archive, release, draft / "bin")
        archive.unlink()
        draft.rename(folder)


def _unpack(archive: Path, release: Release, target: Path) -> None:
    with tarfile.open(archive) as packed:
        members = {Path(member.name).name: member for member in packed if member.isfile()}
        for program in release.programs:
            if program not in members:
                raise StepFailed(f"{release.name}: the archive holds no {program}")
            source: Any = packed.extractfile(members[program])
            with (target / program).open("wb") as file:
                shutil.copyfileobj(source, file)
            (target / program).chmod(0o755)


def link_uv(checkout: Checkout) -> None:
    """Put the ``uv`` that make uses on PATH, where language hosts look for it."""
    if uv := os.environ.get("UV"):
        link = checkout.bin / "uv"
        link.unlink(missing_ok=True)
        link.symlink_to(uv)


def official_steps(checkout: Checkout, releases: Sequence[Release]) -> list[Step]:
    """One step a release (download, verify, link into the checkout's ``bin``) and what all need."""

    def equip(report: Report) -> None:
        link_uv(checkout)
        define_builder(checkout)
        report.say("linked uv, defined the builder")

    steps = [Step("plugins", equip)]
    for release in releases:

        def run(report: Report, release: Release = release) -> None:
            install(checkout, release, report)
            for program in release.programs:
                link = checkout.bin / program
                link.unlink(missing_ok=True)
                link.symlink_to(folder_of(checkout, release) / "bin" / program)

        steps.append(Step(f"official: {release.name}", run))
    return steps


def pin(catalogue: Path, report: Report, scratch: Path) -> None:
    """Fill the empty checksums in ``catalogue`` by downloading; for a maintainer to review."""
    for machine in ("x86_64", "aarch64"):
        for release in read_releases(catalogue, machine).values():
            if release.pinned:
                continue
            found = fetch(release.url, scratch / "archive", report)
            text = catalogue.read_text()
            section = re.compile(
                rf'(?s)(\[{re.escape(release.name)}\].*?\b{machine} = )""(?=[^\n]*\n(?:\n|\Z))'
            )
            catalogue.write_text(section.sub(rf'\g<1>"{found}"', text, count=1))
