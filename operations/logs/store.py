"""Lines that are kept for longer than their pods: Loki's, where the stack has it."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

import httpx

from operations.logs.found import MOST, Found, Line, Source
from operations.logs.sought import Sought

_LOKI: Final = "/api/v1/namespaces/monitoring/services/https:loki:https/proxy/loki/api/v1"
"""By way of the API server: who may read logs of pods there is who may ask it."""
_SECONDS: Final = 30.0
_NOT_FOUND: Final = 404
_NAMESPACE, _CONTAINER, _POD = "k8s_namespace_name", "k8s_container_name", "k8s_pod_name"


def find(api: httpx.Client, since: int, sought: Sought, meant: Callable[[str], bool]) -> Found:
    """The lines of the last `since` seconds that have one of the ids and are `meant`; none where
    there is no store. One that does not answer is noted: the nodes still have theirs."""
    try:
        answer = api.get(f"{_LOKI}/query_range", params=_asked(since, sought), timeout=_SECONDS)
    except httpx.HTTPError as error:
        return Found((), [_away(str(error) or type(error).__name__)])
    said = _body(answer)
    if answer.status_code == _NOT_FOUND and said.get("reason") == "NotFound":
        return Found(())
    if answer.is_error or said.get("status") != "success":
        return Found((), [_away(str(said.get("message") or answer.text.strip()[:200]))])
    lines = [
        line for line in _lines(said["data"]["result"]) if sought.pattern.search(line.text.encode())
    ]
    more = len(lines) >= MOST
    return Found(
        [line for line in lines if meant(line.text)],
        [f"Loki: more than {MOST} lines; the first are shown"] if more else [],
    )


def _asked(since: int, sought: Sought) -> Mapping[str, str]:
    now = time.time_ns()
    either = "|".join(re.escape(one) for one in sorted(sought.ids))
    # When the reader read it makes each line a stream of its own.
    query = f'{{{_NAMESPACE}=~".+"}} |~ `{_word(either)}` | drop observed_timestamp'
    return {
        "query": query,
        "start": str(now - since * 1_000_000_000),
        # The node's clock may be ahead of this one.
        "end": str(now + 60 * 1_000_000_000),
        "limit": str(MOST),
        "direction": "forward",
    }


def _word(either: str) -> str:
    """As a whole, like `Sought.pattern`: what is a part of longer ones would use up the limit."""
    edge = "[^0-9A-Za-z_]"
    return f"(?:^|{edge})(?:{either})(?:{edge}|$)"


def _body(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        said: object = answer.json()
    except ValueError:
        return {}
    return cast("dict[str, Any]", said) if isinstance(said, dict) else {}


def _away(why: str) -> str:
    return f"Loki, which keeps lines of pods that are gone, does not answer: {why}"


def _lines(result: list[Any]) -> Iterator[Line]:
    for stream in result:
        of = stream["stream"]
        source = Source(of.get(_NAMESPACE, "-"), of.get(_POD, "-"), of.get(_CONTAINER, "-"))
        for value in stream["values"]:
            yield Line(source, int(value[0]), value[1])
