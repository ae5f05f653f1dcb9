"""The images made of this repository's own code: built and pushed here, or given by reference."""

import hashlib
from collections.abc import Iterable, Iterator
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

REPOSITORY_ROOT: Final = Path(__file__).resolve().parents[2]
SERVERS: Final = ("postgres", "kafka", "redis")
BUILD_IMAGE: Final = "python-build"
RUNTIME_IMAGE: Final = "python-runtime"
DEFAULT_REGISTRY: Final = "localhost:30500"
"""Where `make up` puts a checkout's registry; names images in a rendering, which pushes nothing."""


@dataclass(frozen=True)
class OwnImage:
    """One image: its name in the catalogue, and what it is made of."""

    name: OwnImageName
    sources: tuple[str, ...]
    """Everything else in the build context is ignored by the Dockerfile."""

    @property
    def dockerfile(self) -> str:
        return f"{self.name}/Dockerfile"


SERVICES: Final = OwnImage("services", ("services", "pyproject.toml", "uv.lock"))
"""The one image that all Python services share."""
LOADTESTS: Final = OwnImage(
    "loadtests", ("loadtests", "services/contracts", "pyproject.toml", "uv.lock")
)
"""The load generator's."""


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
    to_build = [image.name for image in own if not catalogue.is_given(image.name)]
    if not to_build or environment.render_dir is not None:
        return
    for name in (BUILD_IMAGE, RUNTIME_IMAGE):
        catalogue.reference(name)
    if environment.registry is None:
        raise ImageError(
            f"the {to_build[0]} image is to be built, but MILLRACE_REGISTRY names no registry to "
            'push it to; run `eval "$(make -s env)"` in this shell, or give an image that exists '
            f"in millrace:images.overrides.{to_build[0]}"
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
        build_args={
            "BUILD_IMAGE": catalogue.reference(BUILD_IMAGE),
            "RUNTIME_IMAGE": catalogue.reference(RUNTIME_IMAGE),
        },
        # A preview touches neither engine nor registry.
        build_on_preview=False,
        opts=opts,
    )
    return image.ref
