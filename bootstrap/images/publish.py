"""Push images to the checkout's registry and note their digests for the Pulumi program."""

import json
import re
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import httpx

from bootstrap.checkout import Checkout
from bootstrap.engine import connect
from bootstrap.images.recipes import REPOSITORY, Recipe
from bootstrap.steps import Report, StepFailed
from bootstrap.tools import locked

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def repository(checkout: Checkout, recipe: Recipe) -> str:
    """The image's name in the checkout's registry, without tag or digest."""
    return f"{checkout.registry}/{REPOSITORY}/{recipe.name}"


def published_images(checkout: Checkout) -> dict[str, str]:
    """What is noted as published: catalogue name to reference by digest; {} if nothing."""
    try:
        return json.loads(checkout.images_file.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def digest_in_registry(checkout: Checkout, recipe: Recipe, tag: str) -> str | None:
    """The digest under which the registry has this very image, or None."""
    address = tag.rpartition(":")[2]
    url = f"http://{checkout.registry}/v2/{REPOSITORY}/{recipe.name}/manifests/{address}"
    try:
        with httpx.Client(trust_env=False, timeout=10) as http:
            answer = http.head(url, headers={"Accept": _MANIFEST})
    except httpx.TransportError:
        return None
    return answer.headers.get("Docker-Content-Digest") if answer.is_success else None


def is_published(checkout: Checkout, recipe: Recipe, tag: str) -> bool:
    """Whether the registry has the image and the checkout's list names it by that digest."""
    digest = digest_in_registry(checkout, recipe, tag)
    noted = published_images(checkout)
    return digest is not None and _rows(checkout, recipe, digest).items() <= noted.items()


def _rows(checkout: Checkout, recipe: Recipe, digest: str) -> dict[str, str]:
    """What the list says of the image: the same reference under each name it answers for."""
    reference = f"{repository(checkout, recipe)}@{digest}"
    return dict.fromkeys(recipe.catalogue_names, reference)


def publish(checkout: Checkout, recipe: Recipe, tag: str, report: Report) -> None:
    """Push the engine's image ``tag`` and note its digest in the checkout's list.

    Raises:
        StepFailed: the registry did not take it.
    """
    target, address = repository(checkout, recipe), tag.rpartition(":")[2]
    report.say(f"pushing to {checkout.registry}")
    with closing(connect(timeout=600)) as client:
        client.images.get(tag).tag(target, address)
        images: Any = client.images  # its stubs leave results open
        stream = images.push(target, tag=address, stream=True, decode=True)
        digest = pushed_digest(stream, report)
    with locked(checkout.state / "images.lock"):
        noted = published_images(checkout) | _rows(checkout, recipe, digest)
        draft = checkout.images_file.with_suffix(".new")
        draft.write_text(json.dumps(noted, indent=2, sort_keys=True) + "\n")
        draft.replace(checkout.images_file)


def pushed_digest(stream: Iterable[Any], report: Report) -> str:
    """The manifest's digest from the engine's account of a push.

    Raises:
        StepFailed: the push failed, or ended without naming a digest.
    """
    digest = ""
    for event in stream:
        if "error" in event:
            raise StepFailed(
                f"push failed: {event['error']}; is the checkout's registry running (make status)?"
            )
        report.status = str(event.get("status", report.status))
        found = _DIGEST.search(str(event.get("aux", {}).get("Digest", "")))
        digest = found.group() if found else digest
    if not digest:
        raise StepFailed("push ended without a digest; run it again")
    return digest
