"""``make logs``: what the pods of the platform said of one request, whichever wrote it down."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import httpx

from bootstrap.kube import Kube
from bootstrap.kube_api import kubernetes_api
from operations import lines, periods
from operations.logs import reading, store
from operations.logs.found import Found, Line, Source, merged
from operations.logs.sought import Sought
from operations.request import FailedError

Say = Callable[[str], None]

SINCE: Final = "1h"
_SHORTEST, _LONGEST = 1, 30 * 86_400
_IDS: Final = frozenset({"trace_id", "correlation_id"})


def seconds(since: str) -> int:
    """Of `30s`, `15min`, `6h`, `2d`. Raises RefusedError."""
    return periods.seconds("SINCE", since or SINCE, _SHORTEST, _LONGEST)


def show(kube: Kube, sought: Sought, since: int, say: Say, note: Say, *, raw: bool) -> None:
    """Print the lines that have what is sought, those of all pods by time.

    Args:
        raw: a JSON object for each, in place of a text for people.
        note: told what could not be read.

    Raises:
        FailedError: there is no such line.
        KubeError: the cluster is not there, or refuses.
    """
    with kubernetes_api(kube) as api:
        sources = reading.sources(api)
        sought, found = search(api, sources, sought, since)
    for text in (map(as_json, found.lines)) if raw else as_text(found.lines, sought):
        say(text)
    for text in found.notes:
        note(f"not all was read: {text}")
    if not found.lines:
        pods = len({(one.namespace, one.pod) for one in sources})
        raise FailedError(
            f"no line of the last {since} s has {sought}, in {len(sources)} logs of {pods} pods; "
            "SINCE=6h looks further back, as far as the nodes keep logs; those of pods that are "
            "gone are had where the stack keeps logs. Of what went well a service tells of one a "
            "second: on a busy one, send it again with another id (docs/logs.md)"
        )


def search(
    api: httpx.Client, sources: Sequence[Source], sought: Sought, since: int
) -> tuple[Sought, Found]:
    """What was sought in the end, and what was found: with a correlation id also all that its
    traces are in."""
    found = _find(api, sources, sought, since)
    known = (entry for line in found.lines if (entry := lines.entry(line.text)) is not None)
    more = sought.with_traces_of(known)
    return (sought, found) if more == sought else (more, _find(api, sources, more, since))


def _find(api: httpx.Client, sources: Sequence[Source], sought: Sought, since: int) -> Found:
    def meant(text: str) -> bool:
        entry = lines.entry(text)
        return entry is None or sought.is_in(entry)

    of_nodes = reading.find(api, sources, since, sought.pattern, meant)
    return merged((of_nodes, store.find(api, since, sought, meant)))


def as_json(line: Line) -> str:
    """An object for a program: where and when, and what was said, as an object if it was one."""
    entry = lines.entry(line.text)
    return json.dumps(
        {
            "time": line.at.isoformat(timespec="microseconds"),
            "namespace": line.source.namespace,
            "pod": line.source.pod,
            "container": line.source.container,
            "line": line.text if entry is None else entry,
        }
    )


def as_text(found: Sequence[Line], sought: Sought) -> Iterator[str]:
    """Time, pod, level, event and all else, in columns as far as that goes."""
    widest = max((len(line.source.pod) for line in found), default=0)
    for line in found:
        entry: Mapping[str, Any] = lines.entry(line.text) or {"event": line.text}
        said = "  ".join(
            [
                f"{line.at:%Y-%m-%d %H:%M:%S}.{line.at.microsecond // 1000:03d}",
                line.source.pod.ljust(widest),
                str(entry.get("level", "-")).ljust(7),
                str(entry["event"]),
                *_rest(entry, sought),
            ]
        )
        yield printable(said)


def _rest(entry: Mapping[str, Any], sought: Sought) -> Iterator[str]:
    """All but what stands before it, and the ids that were asked for."""
    for key, value in entry.items():
        if key in lines.OWN and key != "reason":
            continue
        if key in _IDS and value in sought.ids:
            continue
        yield f"{key}={lines.value(value)}"


def printable(text: str) -> str:
    """Nothing that a terminal would obey: what a log holds may be a stranger's."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )
