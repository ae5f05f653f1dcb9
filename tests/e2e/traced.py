"""Traces as the running platform keeps them, and one request of each path to make one."""

import base64
import itertools
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import httpx

from bootstrap.kube import Kube
from loadtests.telemetry.client import PATH as TELEMETRY
from loadtests.traffic import RESOURCES
from operations.forwarding import forwarded
from tests.e2e.cluster import patiently
from tests.e2e.conftest import Say
from tests.harness.span_trees import Path, Seen, drawn, of_jaeger, shared_a_batch
from tests.harness.whole_paths import Caller

NAMESPACE, JAEGER, QUERY_PORT = "monitoring", "jaeger", 16686
ATTEMPTS: Final = 4
"""So often a trace may fail to become whole, each time after all the seconds it has."""
LOOK_SECONDS: Final = 1.0

Send = Callable[[httpx.Client, dict[str, str], str], httpx.Response]
"""By a client of the path's entry, with these header fields, something of that name."""


def send_resource(http: httpx.Client, headers: dict[str, str], name: str) -> httpx.Response:
    return http.post(RESOURCES, json={"name": name}, headers=headers)


def send_document(http: httpx.Client, headers: dict[str, str], name: str) -> httpx.Response:
    return http.post("/api/data", json={"id": name, "value": 1, "text": ""}, headers=headers)


def send_point(http: httpx.Client, headers: dict[str, str], name: str) -> httpx.Response:
    """Of one device always: one partition, which the same pods read."""
    point = {"device_id": "e2e-traced", "metric": name, "value": 1.5}
    point["ts"] = datetime.now(UTC).isoformat()
    return http.post(TELEMETRY, json={"points": [point]}, headers=headers)


class Jaeger:
    """Its query API."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def spans(self, trace: str) -> list[Seen]:
        """Of a trace as far as they came; none of one that is not kept (yet)."""
        answer = self._http.get(f"/api/traces/{trace}")
        if answer.status_code == 404:
            return []
        assert answer.status_code == 200, answer.text[:500]
        return of_jaeger(answer.json())


@contextmanager
def jaeger_of(kube: Kube) -> Iterator[Jaeger]:
    """Where the stack gives it a certificate, as a client would that trusts the internal CA."""
    found = kube.run(
        "get", "secret", f"{JAEGER}-tls", "-n", NAMESPACE, "-o", "json", "--ignore-not-found"
    )
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the platform's own authority, nobody else's
    if found.strip():
        ca = base64.b64decode(json.loads(found)["data"]["ca.crt"])
        trusted.load_verify_locations(cadata=ca.decode())
    scheme = "https" if found.strip() else "http"
    with (
        forwarded(kube, NAMESPACE, f"service/{JAEGER}", QUERY_PORT) as port,
        httpx.Client(
            base_url=f"{scheme}://127.0.0.1:{port}", verify=trusted, timeout=15, trust_env=False
        ) as http,
    ):
        http.event_hooks = {"request": [_named]}
        yield Jaeger(http)


def _named(request: httpx.Request) -> None:
    """The certificate is the Service's, not this machine's."""
    request.extensions["sni_hostname"] = f"{JAEGER}.{NAMESPACE}.svc"


def sent(http: httpx.Client, send: Send) -> tuple[Caller, httpx.Response]:
    """Again by another caller, where the answer is to come again: what failed has a trace, too."""
    callers: list[Caller] = []

    def by_another() -> httpx.Response:
        callers.append(Caller.new())
        return send(http, callers[-1].headers, callers[-1].correlation_id)

    answer = patiently(by_another)
    return callers[-1], answer


def whole_trace(
    jaeger: Jaeger, http: httpx.Client, path: Path, send: Send, seconds: float, say: Say
) -> Caller:
    """Send until one trace is all of the path; gives who called for it.

    What is done for a batch is told in the trace of the first that is in it, and a connection that
    has to be made is a step: so the first one is not looked at, and when other messages came
    along, its own later ones among them, it is tried again.

    Raises:
        AssertionError: it was never whole; the last one is shown as it was.
    """
    unsampled = Caller.new()
    headers = {"traceparent": unsampled.headers["traceparent"][:-1] + "0"}
    patiently(lambda: send(http, headers, unsampled.correlation_id)).raise_for_status()
    wrong, picture = ["nothing sent"], ""
    over = time.monotonic() + ATTEMPTS * seconds
    for attempt in itertools.count(1):
        if time.monotonic() > over:
            break
        caller, answer = sent(http, send)
        assert answer.is_success, answer.text
        assert answer.headers["x-correlation-id"] == caller.correlation_id
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            spans = jaeger.spans(caller.trace)
            wrong = path.lacks(spans, caller.trace, caller.span)
            picture = drawn(spans, caller.trace)
            if not wrong:
                say(f"{path.name}: whole after {time.monotonic() - began:.1f} s\n{picture}")
                assert jaeger.spans(unsampled.trace) == [], "kept, though its caller said not to"
                return caller
            if shared_a_batch(spans, caller.trace):
                break
            time.sleep(LOOK_SECONDS)
        say(f"{path.name}: attempt {attempt} was not whole: {wrong[0]}")
    raise AssertionError("\n".join([*wrong, picture]))
