"""What every container must bring: an exact image, requests and limits, probes, no way to write."""

import re
from collections.abc import Iterator
from typing import Final

from policies.resources import UNKNOWN, Resource, pod_of, table
from policies.rule import Rule

_DIGEST: Final = re.compile(r"@sha256:[0-9a-f]{64}$")
_MOVING: Final = re.compile(r"^(\D*|v?\d{1,3}(-[a-z][\w.]*)*)$")
"""No tag, a word without a number (`latest`), or a bare major version (`17-trixie`)."""


def image_is_exact(resource: Resource) -> Iterator[str]:
    pod = pod_of(resource)
    for name, container in pod.containers() if pod else ():
        image = container.get("image")
        if image is UNKNOWN:  # a build's digest, known only after the update
            continue
        if not isinstance(image, str) or not image:
            yield f"container {name}: has no image"
        elif not _DIGEST.search(image):
            # The colon of a registry's port is not the one of a tag.
            tag = image.rpartition("/")[2].partition(":")[2]
            if _MOVING.match(tag):
                yield (
                    f"container {name}: image {image} means another one tomorrow; name a digest "
                    "or an exact tag"
                )


def requests_and_limits(resource: Resource) -> Iterator[str]:
    pod = pod_of(resource)
    for name, container in pod.containers() if pod else ():
        for side in ("requests", "limits"):
            given = table(container, "resources", side)
            missing = [what for what in ("cpu", "memory") if not given.get(what)]
            if missing:
                yield f"container {name}: resources.{side} lacks {' and '.join(missing)}; set it"


def probes(resource: Resource) -> Iterator[str]:
    pod = pod_of(resource) if resource.long_running else None
    for name, container in pod.main_containers() if pod else ():
        for probe in ("readinessProbe", "livenessProbe"):
            if not table(container, probe):
                yield f"container {name}: has no {probe}; a long-running container needs one"


def read_only_root(resource: Resource) -> Iterator[str]:
    pod = pod_of(resource)
    for name, container in pod.containers() if pod else ():
        if table(container, "securityContext").get("readOnlyRootFilesystem") is not True:
            yield (
                f"container {name}: can write to its root file system; set "
                "readOnlyRootFilesystem and mount an emptyDir where it must write"
            )


RULES: Final = (
    Rule("image-exact", "Images by digest or exact tag, never one that moves.", image_is_exact),
    Rule("requests-and-limits", "CPU and memory, requests and limits.", requests_and_limits),
    Rule("probes", "Readiness and liveness probe on long-running containers.", probes),
    Rule("read-only-root", "No container writes to its root file system.", read_only_root),
)
