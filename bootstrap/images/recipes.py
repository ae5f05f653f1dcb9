"""What each image is made of, and the content address that follows from it.

A recipe is a folder beside this file with a Dockerfile; its image's tag is a hash of
everything that goes in, so an image that exists never has to be built again.
"""

import functools
import hashlib
import platform
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

HERE = Path(__file__).resolve().parent
REPOSITORY = "millrace"
LABEL = "dev.millrace.image"  # on every image made here; the value is the recipe's name

# Debian's packages move with point releases and security fixes, which no hash of ours sees:
# a newer date here makes every image anew, from the packages of that day.
PACKAGES_AS_OF = "2026-11-21"

INSTALLER = "install-packages"
"""In every root: what a Dockerfile installs Debian's packages with."""

# Where Linux distributions keep the certificates that this machine trusts.
CERTIFICATE_BUNDLES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/ca-bundle.pem"),
)


def trusted_certificates(bundles: tuple[Path, ...] = CERTIFICATE_BUNDLES) -> Path:
    """This machine's bundle of trusted certificates.

    Raises:
        FileNotFoundError: none of the usual places has one.
    """
    for bundle in bundles:
        if bundle.exists():
            return bundle
    places = ", ".join(map(str, bundles))
    raise FileNotFoundError(
        f"no bundle of trusted certificates in {places}; install the package ca-certificates"
    )


@dataclass(frozen=True)
class Recipe:
    """One image: its folder's Dockerfile on top of ``base`` (None: mmdebstrap's root of the Debian
    release that the image is named for).

    ``added`` gives further files of the build context by name, from a folder of compiled
    programs, and ``programs`` are names of such; they count for the content address. ``published``
    images go to the registry; ``answers`` are the catalogue's names for what is in it, its own
    unless said otherwise. ``optional`` ones are made only where the stack asks for them.
    """

    name: str
    base: "Recipe | None"
    published: bool = True
    added: Callable[[Path], Mapping[str, Path]] = lambda binaries: {}
    programs: tuple[str, ...] = ()
    answers: tuple[str, ...] | None = None
    optional: bool = False

    @property
    def catalogue_names(self) -> tuple[str, ...]:
        return (self.name,) if self.answers is None else self.answers

    @property
    def folder(self) -> Path:
        return HERE / self.name


def _certificates(binaries: Path) -> Mapping[str, Path]:
    return {"ca-certificates.crt": trusted_certificates()}


TRIXIE = Recipe("trixie", base=None, published=False)
REGISTRY = Recipe("registry", base=TRIXIE, published=False)
NODE_BASE = Recipe("node-base", base=TRIXIE, published=False)
NODE = Recipe("node", base=NODE_BASE, published=False, programs=("kubernetes", "coredns"))
# Trixie has no MySQL; sid has the current LTS.
SID = Recipe(
    "sid",
    base=None,
    published=False,
    added=lambda binaries: {INSTALLER: TRIXIE.folder / INSTALLER},
)
MYSQL = Recipe("mysql", base=SID)
# Most of each is what a program in Go brings along; as one image they are fetched and kept once.
MONITORING = Recipe(
    "monitoring",
    base=SID,
    answers=(
        *("prometheus", "alertmanager"),
        *("postgres-exporter", "mysqld-exporter", "redis-exporter"),
    ),
)
PAUSE = Recipe("pause", base=TRIXIE)
POSTGRES = Recipe("postgres", base=TRIXIE)
KAFKA = Recipe("kafka", base=TRIXIE)
REDIS = Recipe("redis", base=TRIXIE)
COLLECTOR = Recipe("collector", base=TRIXIE, programs=("collector",))
JAEGER = Recipe("jaeger", base=TRIXIE, programs=("jaeger",))
LOKI = Recipe("loki", base=TRIXIE, programs=("loki",), optional=True)
PYTHON_RUNTIME = Recipe("python-runtime", base=TRIXIE)
PYTHON_BUILD = Recipe("python-build", base=PYTHON_RUNTIME, added=_certificates)

# In the order of building: bases first, then what takes longest.
RECIPES = (
    *(TRIXIE, REGISTRY, POSTGRES, KAFKA, NODE_BASE),
    *(PYTHON_RUNTIME, PYTHON_BUILD, REDIS, PAUSE, SID, MYSQL, MONITORING),
    *(NODE, JAEGER, COLLECTOR, LOKI),
)


def content_address(recipe: Recipe, binaries: Path) -> str:
    """Twelve hex digits that change with anything that goes into the image.

    Raises:
        FileNotFoundError: a file the recipe adds is not there (yet).
    """
    digest = hashlib.sha256(f"{platform.machine()} {PACKAGES_AS_OF} {recipe.name}\0".encode())
    if recipe.base is not None:
        digest.update(content_address(recipe.base, binaries).encode())
    for name, path in _context_files(recipe, binaries):
        status = path.stat()
        executable = bool(status.st_mode & 0o100)
        digest.update(f"{name}\0{executable}\0".encode())
        digest.update(_file_digest(path, status.st_size, status.st_mtime_ns))
    return digest.hexdigest()[:12]


@functools.cache
def _file_digest(path: Path, size: int, changed: int) -> bytes:
    """SHA-256 of a file, read again only when its size or time of change differ."""
    del size, changed
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def image_tag(recipe: Recipe, binaries: Path) -> str:
    """The image's name in the engine: ``millrace/NAME:ADDRESS``."""
    return f"{REPOSITORY}/{recipe.name}:{content_address(recipe, binaries)}"


def _context_files(recipe: Recipe, binaries: Path) -> Iterator[tuple[str, Path]]:
    files = {path.name: path for path in recipe.folder.iterdir() if path.is_file()}
    programs = {name: (binaries / name).resolve() for name in recipe.programs}
    yield from sorted((files | dict(recipe.added(binaries)) | programs).items())


def build_context(recipe: Recipe, binaries: Path, folders: Mapping[str, Path]) -> IO[bytes]:
    """The build context as an open, unnamed tar file; ``folders`` are added whole, by name."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        # Owner, time and umask of this machine are no part of the image.
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = 0
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    context = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name, path in _context_files(recipe, binaries):
            archive.add(path, arcname=name, filter=plain)
        for name, path in folders.items():
            archive.add(path, arcname=name, filter=plain)
    context.seek(0)
    return context
