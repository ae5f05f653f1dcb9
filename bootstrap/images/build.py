"""Make each image once: from the engine, else from the user's cache, else by building it.

Sources: Docker Engine API 1.41 (/build, /images/load, /images/get, /images/create).
"""

from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import APIError, ImageNotFound

from bootstrap.checkout import Checkout
from bootstrap.engine import connect
from bootstrap.images.debian import make_root
from bootstrap.images.kafka_libraries import fetch_libraries, libraries_folder
from bootstrap.images.publish import is_published, publish
from bootstrap.images.recipes import (
    KAFKA,
    LABEL,
    PAUSE,
    RECIPES,
    Recipe,
    build_context,
    content_address,
    image_tag,
)
from bootstrap.steps import Report, Step, StepFailed
from bootstrap.tools import locked

# On the first stage of the pause image's build, which nothing needs afterwards.
STAGE_LABEL = "dev.millrace.stage"
KEPT_COPIES = 2  # per image: another checkout may be at an older commit
ENGINE_SECONDS = 1800  # between two answers of the engine while it builds


class Cancelled(StepFailed):
    """Another step failed, so this one stopped."""


def ensure_image(checkout: Checkout, recipe: Recipe, binaries: Path, report: Report) -> str:
    """Have the image in the engine and its tar in the cache; gives the engine's name for it.

    Raises:
        StepFailed: it could not be built; the text says where and why.
    """
    tag = image_tag(recipe, binaries)
    archive = archive_path(checkout, recipe, binaries)
    with locked(checkout.cache / "images" / f"{recipe.name}.lock"), closing(connect()) as client:
        client.api.timeout = ENGINE_SECONDS
        if in_engine(client, tag) and archive.exists():
            return tag
        if not in_engine(client, tag):
            if archive.exists():
                report.say("loading from the cache")
                with archive.open("rb") as file:
                    client.images.load(file)
            else:
                _make(checkout, recipe, binaries, client, report)
        if not archive.exists():
            _save(client, tag, archive, report)
    return tag


def in_engine(client: DockerClient, tag: str) -> bool:
    """Whether the engine has an image of this name."""
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def archive_path(checkout: Checkout, recipe: Recipe, binaries: Path) -> Path:
    """Where the image lies in the user's cache, for an engine that lost everything."""
    address = content_address(recipe, binaries)
    return checkout.cache / "images" / f"{recipe.name}-{address}.tar"


def _make(
    checkout: Checkout,
    recipe: Recipe,
    binaries: Path,
    client: DockerClient,
    report: Report,
) -> None:
    tag = image_tag(recipe, binaries)
    if recipe.base is None:
        _import_root(checkout, recipe, tag, client, report)
        return
    base = ensure_image(checkout, recipe.base, binaries, report)
    folders: Mapping[str, Path] = {}
    if recipe is KAFKA:
        folders = {"libs": fetch_libraries(checkout.cache, report)}
    report.say("building")
    with build_context(recipe, binaries, folders) as context:
        stream = client.api.build(
            fileobj=context,
            custom_context=True,
            tag=tag,
            buildargs={"BASE": base},
            labels={LABEL: recipe.name},
            # The machine's own network: its name server may be a loopback address.
            network_mode="host",
            rm=True,
            forcerm=True,
            decode=True,
        )
        follow(stream, report)
    if recipe is PAUSE:  # the one of several stages; its own lock keeps a second build away
        images: Any = client.images  # its stubs leave results open
        images.prune(filters={"dangling": True, "label": STAGE_LABEL})


def _import_root(
    checkout: Checkout, recipe: Recipe, tag: str, client: DockerClient, report: Report
) -> None:
    root = checkout.cache / "images" / f"{tag.rpartition(':')[2]}.root.tar"
    report.say("making the root filesystem with mmdebstrap")
    try:
        make_root(recipe, root, report)
        repository, _, address = tag.partition(":")
        api: Any = client.api  # its stubs leave parameters open
        api.import_image_from_file(
            str(root), repository=repository, tag=address, changes=[f"LABEL {LABEL}={recipe.name}"]
        )
    finally:
        root.unlink(missing_ok=True)


def follow(stream: Iterable[Any], report: Report) -> None:
    """Log what the engine says, and raise what it could not do.

    Raises:
        StepFailed: the engine reported an error; the text holds its last lines.
    """
    said: list[str] = []
    with report.log_path.open("a") as log:
        for event in stream:
            if report.stopped:
                raise Cancelled("stopped, because another step failed")
            if text := str(event.get("stream") or event.get("status") or "").strip():
                log.write(text + "\n")
                log.flush()
                said = [*said[-11:], text]
                report.status = text.splitlines()[-1]
            if "error" in event:
                before = "\n".join(f"    {line}" for line in said)
                raise StepFailed(f"the engine could not do it: {event['error']}\n{before}")


def _save(client: DockerClient, tag: str, archive: Path, report: Report) -> None:
    report.say("keeping a copy in the cache")
    draft = archive.with_suffix(".new")
    try:
        with draft.open("wb") as file:
            file.writelines(client.images.get(tag).save(named=tag))
        draft.replace(archive)
    finally:
        draft.unlink(missing_ok=True)
    for old in superseded(archive):
        old.unlink(missing_ok=True)


def superseded(archive: Path) -> list[Path]:
    """Copies of the same image that are older than the ``KEPT_COPIES`` newest."""
    name = archive.stem.rpartition("-")[0]
    copies = list(archive.parent.glob(f"{name}-{'[0-9a-f]' * 12}.tar"))
    copies.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return copies[KEPT_COPIES:]


def image_steps(checkout: Checkout, binaries: Path, asked_for: Container[str] = ()) -> list[Step]:
    """One step per image, named ``image: NAME``, published images pushed to the registry; of the
    optional ones those that are asked for.

    ``binaries`` holds the compiled programs that some images are made of. The steps expect others
    named ``engine``, ``registry`` and, for each of those programs, ``tools: NAME``.
    """
    steps = [
        Step(
            "image: kafka libraries",
            lambda report: _discard(fetch_libraries(checkout.cache, report)),
            is_done=lambda: libraries_folder(checkout.cache).exists(),
        )
    ]
    for recipe in RECIPES:
        if recipe.optional and recipe.name not in asked_for:
            continue
        steps.append(
            Step(
                f"image: {recipe.name}",
                _making(checkout, recipe, binaries),
                needs=_needs(recipe),
                is_done=_being_done(checkout, recipe, binaries),
            )
        )
    return steps


def _discard(value: object) -> None:
    del value


def _needs(recipe: Recipe) -> tuple[str, ...]:
    needs = ["engine"]
    if recipe.base is not None:
        needs.append(f"image: {recipe.base.name}")
    if recipe.published:
        needs.append("registry")
    if recipe is KAFKA:
        needs.append("image: kafka libraries")
    needs += [f"tools: {name}" for name in recipe.programs]
    return tuple(needs)


def _making(checkout: Checkout, recipe: Recipe, binaries: Path) -> Callable[[Report], None]:
    def make(report: Report) -> None:
        tag = ensure_image(checkout, recipe, binaries, report)
        if recipe.published:
            publish(checkout, recipe, tag, report)

    return make


def _being_done(checkout: Checkout, recipe: Recipe, binaries: Path) -> Callable[[], bool]:
    def is_done() -> bool:
        with closing(connect()) as client:
            tag = image_tag(recipe, binaries)
            there = in_engine(client, tag) and archive_path(checkout, recipe, binaries).exists()
            return there and (not recipe.published or is_published(checkout, recipe, tag))

    return is_done


def remove_images(checkout: Checkout) -> list[str]:
    """Remove every image made here from the engine; gives those another checkout still uses.

    The copies in the cache are the caller's to delete, with the rest of the cache.
    """
    kept: list[str] = []
    with closing(connect()) as client:
        # Children first: an image cannot go while another is built on it.
        order = {recipe.name: place for place, recipe in enumerate(RECIPES)}
        images = client.images.list(filters={"label": LABEL})
        images.sort(key=lambda image: order.get(image.labels.get(LABEL, ""), 0), reverse=True)
        for image in images:
            for tag in image.tags:
                with suppress(ImageNotFound):
                    if not _remove(client, tag):
                        kept.append(tag)
    return kept


def _remove(client: DockerClient, tag: str) -> bool:
    try:
        client.images.remove(tag)
    except APIError as error:
        if error.status_code == 409:
            return False
        raise
    return True
