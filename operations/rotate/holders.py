"""Which pods mount a Secret or ConfigMap, and whether what they see of it is what it holds now."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from bootstrap.kube import Kube, KubeError
from infra.model.objects import APPS, DATA

_NUDGED: Final = "millrace.dev/rotated"
_KEY: Final = "password"
Source = Literal["secret", "configmap"]
_FIELDS: Final = {"secret": ("secret", "secretName"), "configmap": ("configMap", "name")}
"""What a volume of it is called, and where that has its name."""


@dataclass(frozen=True)
class Holder:
    """One container that sees the files."""

    namespace: str
    pod: str
    container: str
    path: str


def missing(kube: Kube, name: str, key: str = _KEY, source: Source = "secret") -> str:
    """Which pods do not have the newest content yet; empty: all that mount it do.

    They are told about it: a kubelet looks at once at a pod whose annotations change.
    """
    behind: list[str] = []
    for namespace in (APPS, DATA):
        wanted = _wanted(kube, namespace, name, key, source)
        if wanted is None:
            continue
        for holder in holders(kube.items("pods", namespace), name, source):
            if _seen(kube, holder, key) != wanted:
                behind.append(holder.pod)
                _nudge(kube, holder, wanted)
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
                        about["namespace"], about["name"], container["name"], mount["mountPath"]
                    )


def _names(volume: Mapping[str, Any], source: Source) -> Iterator[str]:
    kind, field = _FIELDS[source]
    yield volume.get(kind, {}).get(field, "")
    for part in volume.get("projected", {}).get("sources", ()):
        yield part.get(kind, {}).get("name", "")


def _wanted(kube: Kube, namespace: str, name: str, key: str, source: Source) -> str | None:
    found = kube.run("get", source, name, "-n", namespace, "-o", "json", "--ignore-not-found")
    if not found.strip():
        return None
    held: str = json.loads(found)["data"][key]
    content = base64.b64decode(held) if source == "secret" else held.encode()
    return hashlib.sha256(content).hexdigest()


def _seen(kube: Kube, holder: Holder, key: str) -> str:
    """The file's checksum: its content never leaves the pod."""
    try:
        said = kube.run(
            *("exec", "-n", holder.namespace, holder.pod, "-c", holder.container, "--"),
            *("sha256sum", f"{holder.path}/{key}"),
        )
    except KubeError:
        return ""  # it starts, or goes; the next look tells
    return said.split()[0] if said.split() else ""


def _nudge(kube: Kube, holder: Holder, wanted: str) -> None:
    note = f"{_NUDGED}={wanted[:16]}"
    try:
        kube.run("annotate", "pod", holder.pod, "-n", holder.namespace, "--overwrite", note)
    except KubeError:
        return  # gone meanwhile
