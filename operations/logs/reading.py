"""The logs of the platform's containers, from the API that kubectl leads to."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx

from bootstrap.kube import KubeError
from bootstrap.status import PART_OF
from operations.logs.found import MOST, Found, Line, Source, merged, nanoseconds

AT_A_TIME: Final = 8
"""Logs: the API server and the nodes have other things to do."""
SECONDS: Final = 60.0
"""For one log."""
_GONE: Final = (400, 404)


def sources(api: httpx.Client) -> list[Source]:
    """Every log of every pod in the platform's namespaces, those of init containers included.

    Raises:
        KubeError: the API refused, or does not answer.
    """
    selector = {"labelSelector": f"{PART_OF}=millrace"}
    found: list[Source] = []
    for namespace in _items(api, "/api/v1/namespaces", selector):
        name = namespace["metadata"]["name"]
        for pod in _items(api, f"/api/v1/namespaces/{name}/pods", {}):
            found += _of_pod(name, pod)
    return found


def _items(api: httpx.Client, path: str, params: Mapping[str, str]) -> list[Any]:
    try:
        answer = api.get(path, params=params)
    except httpx.HTTPError as error:
        raise KubeError(f"the cluster does not answer: {error or type(error).__name__}") from None
    if answer.is_error:
        raise KubeError(f"the cluster refuses {path}: {_reason(answer)}")
    return answer.json()["items"]


def _of_pod(namespace: str, pod: Mapping[str, Any]) -> Iterator[Source]:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for kind in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for one in status.get(kind) or ():
            restarted = one.get("restartCount", 0) > 0
            if restarted:
                yield Source(namespace, name, one["name"], previous=True)
            if restarted or "waiting" not in one.get("state", {}):
                yield Source(namespace, name, one["name"])


def find(
    api: httpx.Client,
    of: Sequence[Source],
    since: int,
    pattern: re.Pattern[bytes],
    meant: Callable[[str], bool],
) -> Found:
    """The lines of the last `since` seconds that have the pattern and are `meant`."""

    def searched(source: Source) -> Found:
        return _search(api, source, since, pattern, meant)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return merged(pool.map(searched, of))


def _search(
    api: httpx.Client,
    source: Source,
    since: int,
    pattern: re.Pattern[bytes],
    meant: Callable[[str], bool],
) -> Found:
    found: list[Line] = []
    path = f"/api/v1/namespaces/{source.namespace}/pods/{source.pod}/log"
    asked = {
        "container": source.container,
        "sinceSeconds": str(since),
        "timestamps": "true",
        "previous": str(source.previous).lower(),
    }
    deadline = time.monotonic() + SECONDS
    try:
        with api.stream("GET", path, params=asked, timeout=SECONDS) as answer:
            if answer.is_error:
                answer.read()
                gone = source.previous and answer.status_code in _GONE  # it is kept for a while
                return Found((), [] if gone else [f"{source}: {_reason(answer)}"])
            for raw in _lines(answer):
                if pattern.search(raw) and (line := _line(source, raw)) and meant(line.text):
                    found.append(line)
                if len(found) >= MOST:
                    why = f"more than {MOST} lines; the first are shown"
                    return Found(found, [f"{source}: {why}"])
                if time.monotonic() > deadline:
                    why = f"not read to its end within {SECONDS:.0f} s"
                    return Found(found, [f"{source}: {why}"])
    except httpx.HTTPError as error:
        return Found(found, [f"{source}: {error or type(error).__name__}"])
    return Found(found)


def _lines(answer: httpx.Response) -> Iterator[bytes]:
    """At line feeds alone: what a client sent may hold all else that texts are broken at."""
    rest = b""
    for chunk in answer.iter_bytes():
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _line(source: Source, raw: bytes) -> Line | None:
    stamp, _, text = raw.decode(errors="replace").partition(" ")
    try:
        return Line(source, nanoseconds(stamp), text)
    except ValueError:
        return None  # nothing that a node wrote


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.text.strip()[:200]}"
