"""The images made of this repository's own code: built and pushed here, or given by reference."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pulumi
import pulumi_docker_build as docker_build

from components.kit.args import Text
from components.kit.references import ImageError
from infra.images.catalogue import Catalogue
from infra.model.environment import Environment
from infra.model.images import OwnImageName
from infra.model.servers import Engine

REPOSITORY_ROOT: Final = Path(__file__).resolve().parents[2]
SERVERS: Final = ("postgres", "mysql", "kafka", "redis")
DEFAULT_REGISTRY: Final = "localhost:30500"
"""Where `make up` puts a checkout's registry; names images in a rendering, which pushes nothing."""


@dataclass(frozen=True)
class OwnImage:
    """One image: its name in the catalogue, and what it is made of."""

    name: OwnImageName
    folder: str
    """Where its Dockerfile is."""
    sources: tuple[str, ...]
    """Everything else in the build context is ignored by the Dockerfile."""
    bases: Mapping[str, str]
    """Build argument to the name, in the catalogue, of the image it is given."""

    @property
    def dockerfile(self) -> str:
        return f"{self.folder}/Dockerfile"


_LOCKED: Final = ("pyproject.toml", "uv.lock")
_PYTHON: Final = {"BUILD_IMAGE": "python-build", "RUNTIME_IMAGE": "python-runtime"}
SERVICES: Final = OwnImage("services", "services", ("services", *_LOCKED), _PYTHON)
"""The one image that all Python services share."""
LOADTESTS: Final = OwnImage(
    "loadtests", "loadtests", ("loadtests", "services/contracts", *_LOCKED), _PYTHON
)
"""The load generator's."""
_BACKUP: Final = ("services/backup", SERVICES.sources)


def _on(server: Engine) -> Mapping[str, str]:
    return {"BUILD_IMAGE": _PYTHON["BUILD_IMAGE"], "SERVER_IMAGE": server}


BACKUPS: Final[Mapping[Engine, OwnImage]] = {
    "postgres": OwnImage("backup-postgres", *_BACKUP, bases=_on("postgres")),
    "mysql": OwnImage("backup-mysql", *_BACKUP, bases=_on("mysql")),
}
"""By engine: what takes and restores backups of such a server."""
_KAFKA: Final = "components/servers/kafka/image"
KAFKA: Final = OwnImage(
    "kafka-metrics", _KAFKA, (_KAFKA,), {"BUILD_IMAGE": "java-build", "SERVER_IMAGE": "kafka"}
)
"""The official image, and the agent that tells Prometheus of a node: one built here has it."""


def source_hash(image: OwnImage, root: Path = REPOSITORY_ROOT) -> str:
    """First 12 hex digits of the SHA-256 over paths and contents of the image's sources."""
    digest = hashlib.sha256()
    for path in _source_files(image, root):
        digest.update(str(path.relative_to(root)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _source_files(image: OwnImage, root: Path) -> Iterator[Path]:
    for source in image.sources:
        path = root / source
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                yield file


def check_images(
    catalogue: Catalogue, environment: Environment, own: Iterable[OwnImage] = (SERVICES,)
) -> None:
    """Make sure that every image can be had, before anything is registered.

    Args:
        own: of the images made here those that the stack runs.

    Raises:
        ImageError: one of our own is to be built, but no registry is named; or an image has no
            reference.
    """
    for name in SERVERS:
        catalogue.reference(name)
    to_build = [image for image in own if not catalogue.is_given(image.name)]
    if not to_build or environment.render_dir is not None:
        return
    for name in (name for image in to_build for name in image.bases.values()):
        catalogue.reference(name)
    if environment.registry is None:
        first = to_build[0].name
        raise ImageError(
            f"the {first} image is to be built, but MILLRACE_REGISTRY names no registry to push it "
            'to; run `eval "$(make -s env)"` in this shell, or give an image that exists in '
            f"millrace:images.overrides.{first}"
        )


def own_image(
    made: OwnImage, catalogue: Catalogue, environment: Environment, opts: pulumi.ResourceOptions
) -> Text:
    """Reference of one of our own images, by digest unless it is only rendered.

    An image given in the stack file is used as it is. Otherwise the image is built from this
    checkout and pushed to MILLRACE_REGISTRY, and pods get the digest of what was pushed.
    """
    if catalogue.is_given(made.name):
        return catalogue.reference(made.name)
    tag = f"millrace/{made.name}:src-{source_hash(made)}"
    if environment.render_dir is not None:
        # Nothing is built, so there is no digest to name: the tag says which source it would be.
        return f"{environment.registry or DEFAULT_REGISTRY}/{tag}"
    image = docker_build.Image(
        made.name,
        tags=[f"{environment.registry}/{tag}"],
        push=True,
        context=docker_build.BuildContextArgs(location=str(REPOSITORY_ROOT)),
        dockerfile=docker_build.DockerfileArgs(location=str(REPOSITORY_ROOT / made.dockerfile)),
        build_args={arg: catalogue.reference(name) for arg, name in made.bases.items()},
        # A preview touches neither engine nor registry.
        build_on_preview=False,
        opts=opts,
    )
    return image.ref
