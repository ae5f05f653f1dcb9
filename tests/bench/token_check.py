"""What a token costs a request: processor time with tokens required beside the same without.

One endpoint past the framework with nothing behind it, called in this process without a server, so
that the difference is not lost in what a connection takes. `remembered` shows one token again and
again, `signature` two in turn to a guard that remembers a single one, so that each is a first
sight. The sides take turns, and the median of each counts.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

from prometheus_client import CollectorRegistry

from services.contracts.scopes import DATA_READ
from services.shared.auth.guard import TokenGuard
from services.shared.auth.keys import Keys
from services.shared.http.application import Application
from services.shared.http.direct import Call, DirectRoutes, Reply
from services.shared.http.gate import Guard, needs
from services.shared.runtime.metrics import HttpMetrics
from tests.bench.machine import Report
from tests.harness.issuer import Issuer

PATH = "/direct"
ROUNDS = 7


async def _answer(_: Call) -> Reply:
    return Reply(200, b"[]")


def _application(guard: Guard | None) -> Application:
    direct = DirectRoutes()
    direct.add("GET", PATH, _answer, lambda error: None)
    app = Application(direct, guard=guard, context={"metrics": HttpMetrics(CollectorRegistry())})
    app.get(PATH, dependencies=[needs(DATA_READ)])(list)
    app.finish()
    return app


async def _calls(app: Application, tokens: list[str], number: int) -> float:
    """Microseconds of the processor for each."""
    headers = [[(b"host", b"x"), (b"authorization", b"Bearer " + t.encode())] for t in tokens]
    refused: list[int] = []

    async def receive() -> Any:
        raise AssertionError("a GET has no body")

    async def send(message: Any) -> None:
        if message.get("status", 200) != 200:
            refused.append(message["status"])

    before = time.process_time()
    for n in range(number):
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": PATH,
            "query_string": b"",
            "headers": headers[n % len(headers)],
        }
        await app(scope, receive, send)
    each = (time.process_time() - before) / number * 1e6
    if refused:
        raise RuntimeError(f"{len(refused)} of {number} requests were refused: {refused[0]}")
    return each


async def _bench(issuer: Issuer, report: Report, calls: int) -> None:
    def guard(remembered: int) -> TokenGuard:
        settings = issuer.settings.model_copy(update={"remembered": remembered})
        return TokenGuard(settings, Keys(issuer.jwks_url), CollectorRegistry())

    tokens = [issuer.token(jti=str(n), seconds=3600) for n in range(2)]
    sides = {
        "off": (_application(None), tokens[:1], calls),
        "remembered": (_application(guard(100)), tokens[:1], calls),
        "signature": (_application(guard(1)), tokens, calls // 10),
    }
    found: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(ROUNDS):
        for side, (app, shown, number) in sides.items():
            found[side].append(await _calls(app, shown, number))
    for side, each in found.items():
        report.add(side, processor_us_each=round(statistics.median(each), 2), least=min(each))


def run(calls: int = 10_000) -> int:
    """All sides, in turn."""
    report = Report("token-check")
    with Issuer() as issuer:
        asyncio.run(_bench(issuer, report, calls))
    return report.close()
