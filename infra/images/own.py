"""The one image all Python services share: built and pushed here, or given by reference."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pulumi
import pulumi_docker_build as docker_build

from components.kit.args import Text
from components.kit.references import ImageError
from infra.images.catalogue import Catalogue
from infra.model.environment import Environment

REPOSITORY_ROOT: Final = Path(__file__).resolve().parents[2]
DOCKERFILE: Final = "services/Dockerfile"
SOURCES: Final = ("services", "pyproject.toml", "uv.lock")
"""What the image is made of; everything else in the build context is ignored by the Dockerfile."""
SERVERS: Final = ("postgres", "kafka", "redis")
BUILD_IMAGE: Final = "python-build"
RUNTIME_IMAGE: Final = "python-runtime"
DEFAULT_REGISTRY: Final = "localhost:30500"
"""Where `make up` puts a checkout's registry; names images in a rendering, which pushes nothing."""


def source_hash(root: Path = REPOSITORY_ROOT) -> str:
    """First 12 hex digits of the SHA-256 over paths and contents of the image's sources."""
    digest = hashlib.sha256()
    for path in _source_files(root):
        digest.update(str(path.relative_to(root)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _source_files(root: Path) -> Iterator[Path]:
    for source in SOURCES:
        path = root / source
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                yield file


def check_images(catalogue: Catalogue, environment: Environment) -> None:
    """Make sure that every image can be had, before anything is registered.

    Raises:
        ImageError: the services image is to be built, but no registry is named; or
            an image has no reference.
    """
    for name in SERVERS:
        catalogue.reference(name)
    if catalogue.is_given("services") or environment.render_dir is not None:
        return
    for name in (BUILD_IMAGE, RUNTIME_IMAGE):
        catalogue.reference(name)
    if environment.registry is None:
        raise ImageError(
            "the services image is to be built, but MILLRACE_REGISTRY names no registry to push "
            'it to; run `eval "$(make -s env)"` in this shell, or give an image that exists in '
            "millrace:images.overrides.services"
        )


def services_image(
    catalogue: Catalogue, environment: Environment, opts: pulumi.ResourceOptions
) -> Text:
    """Reference of the services image, by digest unless it is only rendered.

    An image given in the stack file is used as it is. Otherwise the image is built from this
    checkout and pushed to MILLRACE_REGISTRY, and pods get the digest of what was pushed.

    """
    if catalogue.is_given("services"):
        return catalogue.reference("services")
    tag = f"millrace/services:src-{source_hash()}"
    if environment.render_dir is not None:
        # Nothing is built, so there is no digest to name: the tag says which source it would be.
        return f"{environment.registry or DEFAULT_REGISTRY}/{tag}"
    image = docker_build.Image(
        "services",
        tags=[f"{environment.registry}/{tag}"],
        push=True,
        context=docker_build.BuildContextArgs(location=str(REPOSITORY_ROOT)),
        dockerfile=docker_build.DockerfileArgs(location=str(REPOSITORY_ROOT / DOCKERFILE)),
        build_args={
            "BUILD_IMAGE": catalogue.reference(BUILD_IMAGE),
            "RUNTIME_IMAGE": catalogue.reference(RUNTIME_IMAGE),
        },
        # A preview touches neither engine nor registry.
        build_on_preview=False,
        opts=opts,
    )
    return image.ref
