"""Which pods mount a Secret or ConfigMap, and whether what they see of it is what it holds now."""

import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from bootstrap.kube import Kube, KubeError
from infra.model.objects import APPS, DATA, MONITORING

_NUDGED: Final = "millrace.dev/rotated"
_KEY: Final = "password"
_NO_PROGRAM: Final = re.compile("executable file.* not found")
"""As container runtimes say it."""
Source = Literal["secret", "configmap"]
_FIELDS: Final = {"secret": ("secret", "secretName"), "configmap": ("configMap", "name")}
"""What a volume of it is called, and where that has its name."""


class _BlindError(Exception):
    """An image of one program alone, as some that watch the platform are."""


@dataclass(frozen=True)
class Holder:
    """One container that sees the files."""

    namespace: str
    pod: str
    container: str
    path: str
    begun: str
    """When the kubelet took the pod on, after which it mounted what was there then."""


@dataclass(frozen=True)
class _Wanted:
    """What should be seen."""

    checksum: str
    since: str
    """When the object last changed."""


def missing(kube: Kube, name: str, key: str = _KEY, source: Source = "secret") -> str:
    """Which pods do not have the newest content yet; empty: all that mount it do.

    They are told about it: a kubelet looks at once at a pod whose annotations change. One that
    watches the platform and cannot be looked into is replaced.
    """
    behind: list[str] = []
    for namespace in (APPS, DATA, MONITORING):
        wanted = _wanted(kube, namespace, name, key, source)
        if wanted is None:
            continue
        for holder in holders(kube.items("pods", namespace), name, source):
            if not _current(kube, holder, key, wanted):
                behind.append(holder.pod)
    return ", ".join(sorted(set(behind)))


def holders(pods: list[Any], name: str, source: Source = "secret") -> Iterator[Holder]:
    """Of all that are not over."""
    for pod in pods:
        if pod["status"].get("phase") in ("Succeeded", "Failed"):
            continue
        spec, about = pod["spec"], pod["metadata"]
        volumes = {
            volume["name"] for volume in spec.get("volumes", ()) if name in _names(volume, source)
        }
        for container in spec["containers"]:
            for mount in container.get("volumeMounts", ()):
                if mount["name"] in volumes:
                    yield Holder(
                        about["namespace"],
                        about["name"],
                        container["name"],
                        mount["mountPath"],
                        pod["status"].get("startTime", ""),
                    )


def _names(volume: Mapping[str, Any], source: Source) -> Iterator[str]:
    kind, field = _FIELDS[source]
    yield volume.get(kind, {}).get(field, "")
    for part in volume.get("projected", {}).get("sources", ()):
        yield part.get(kind, {}).get("name", "")


def _wanted(kube: Kube, namespace: str, name: str, key: str, source: Source) -> _Wanted | None:
    found = kube.run(
        *("get", source, name, "-n", namespace, "-o", "json"),
        *("--show-managed-fields", "--ignore-not-found"),
    )
    if not found.strip():
        return None
    known = json.loads(found)
    held: str = known["data"][key]
    content = base64.b64decode(held) if source == "secret" else held.encode()
    about = known["metadata"]
    changes = (one.get("time", "") for one in about.get("managedFields", ()))
    since = max((about["creationTimestamp"], *changes))
    return _Wanted(hashlib.sha256(content).hexdigest(), since)


def _current(kube: Kube, holder: Holder, key: str, wanted: _Wanted) -> bool:
    """Whether it sees what is wanted; if not, it is seen to."""
    try:
        if _seen(kube, holder, key) == wanted.checksum:
            return True
    except _BlindError:
        # What was mounted after the change is the change.
        if holder.begun > wanted.since:
            return True
        _replace(kube, holder)
        return False
    _nudge(kube, holder, wanted.checksum)
    return False


def _seen(kube: Kube, holder: Holder, key: str) -> str:
    """The file's checksum: its content never leaves the pod.

    Raises _BlindError when a program that watches has nothing in its image to look with.
    """
    try:
        said = kube.run(
            *("exec", "-n", holder.namespace, holder.pod, "-c", holder.container, "--"),
            *("sha256sum", f"{holder.path}/{key}"),
        )
    except KubeError as error:
        if _NO_PROGRAM.search(str(error)) and holder.namespace == MONITORING:
            raise _BlindError from None
        return ""  # it starts, or goes; the next look tells
    return said.split()[0] if said.split() else ""


def _nudge(kube: Kube, holder: Holder, wanted: str) -> None:
    note = f"{_NUDGED}={wanted[:16]}"
    try:
        kube.run("annotate", "pod", holder.pod, "-n", holder.namespace, "--overwrite", note)
    except KubeError:
        return  # gone meanwhile


def _replace(kube: Kube, holder: Holder) -> None:
    """By a pod that mounts what is there now: those of one program alone keep nothing."""
    with contextlib.suppress(KubeError):  # the next look tells
        where = ("-n", holder.namespace, "--ignore-not-found", "--wait=false")
        kube.run("delete", "pod", holder.pod, *where)
