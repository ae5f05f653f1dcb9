"""How many requests a client may make, of all pods of a service together: what the gates of HTTP
and gRPC ask once they know whose request it is.

No request waits for Redis. It is let in, or not, by what this process knows of the client's bucket;
what was let in is told to Redis afterwards, of all clients together and at intervals, and the
answer has what the other pods let in. While Redis is away each pod gives its share of the rate
(docs/decisions/0070-rates-are-told-afterwards.md).
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.shared.http.problem import ProblemError
from services.shared.limits.bucket import SharedBucket, Terms
from services.shared.limits.clients import named
from services.shared.limits.exchange import Told
from services.shared.limits.settings import RateLimitSettings
from services.shared.runtime import context
from services.shared.runtime.breaker import Breaker
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

Tell = Callable[[Mapping[str, int]], Awaitable[Told]]
"""Tells how many requests of which clients were let in."""

_MOST_AT_ONCE: Final = 200
"""Clients of whom one exchange tells."""


class RateLimit:
    """One per process: what it lets in by HTTP and by gRPC is one number."""

    def __init__(
        self,
        settings: RateLimitSettings,
        tell: Tell,
        breaker: Breaker,
        registry: CollectorRegistry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tell` ends by itself; whatever it raises is a failure to `breaker`."""
        assert settings.per_second is not None, "without a rate there is no limit"
        self._rate, self._burst = settings.per_second, settings.at_once
        self._most = settings.clients
        self._every = settings.exchange_seconds
        self._tell = tell
        self._breaker = breaker
        self._clock = clock
        self._buckets: OrderedDict[str, SharedBucket] = OrderedDict()
        self._untold: dict[str, SharedBucket] = {}
        self._telling: asyncio.Task[None] | None = None
        self._pods = 1
        self._alone = False
        self._terms = self._whole = Terms.of(self._rate, self._burst)
        counted = Counter(
            "rate_limit_requests",
            "Requests and calls let in (allowed) or not (refused), by what all pods let in (shared)"
            " or, while Redis is away, by this pod's share (alone).",
            ["result", "by"],
            registry=registry,
        )
        self._counts = {
            alone: (counted.labels("allowed", by), counted.labels("refused", by))
            for alone, by in ((False, "shared"), (True, "alone"))
        }
        self._allowed, self._refused = self._counts[False]
        remembered = Gauge(
            "rate_limit_clients", "Clients whose requests are remembered.", registry=registry
        )
        remembered.set_function(lambda: len(self._buckets))
        pods = Gauge(
            "rate_limit_pods",
            "Pods that share the rates, as Redis last said.",
            registry=registry,
        )
        pods.set_function(lambda: self._pods)

    def admit(self, client: str | None, address: str | None) -> None:
        """Count a request, of a token's client or else of an address. Raises ProblemError."""
        name = named(client, address)
        bucket = self._bucket(name)
        seconds = bucket.take(self._clock(), self._terms)
        if seconds:
            self._refused.inc()
            raise self._problem(seconds)
        self._allowed.inc()
        if self._telling is None:
            if self._breaker.refuses:
                return
            self._telling = asyncio.create_task(self._keep_telling())
        bucket.untold += 1
        self._untold[name] = bucket

    async def close(self) -> None:
        """Stop telling. What nobody was told of is forgotten."""
        telling = self._telling
        # A client of Redis that connects may let a cancellation go unheard.
        while telling is not None and not telling.done():
            telling.cancel()
            await asyncio.wait({telling}, timeout=1)

    def _bucket(self, name: str) -> SharedBucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            # One that was forgotten may still be untold.
            bucket = self._buckets[name] = self._untold.get(name) or SharedBucket()
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(name)
        return bucket

    def _problem(self, seconds: float) -> ProblemError:
        wait = math.ceil(seconds)
        return ProblemError(
            429,
            "rate-limited",
            f"a client may make {self._rate:g} requests a second, after a pause {self._burst} at"
            f" once; try again after {wait} s",
            headers={"Retry-After": str(wait)},
        )

    async def _keep_telling(self) -> None:
        # This task is nobody's request: its log lines must not carry the one that started it.
        context.unbind()
        try:
            while self._untold:
                await self._tell_some()
                if len(self._untold) < _MOST_AT_ONCE:
                    await asyncio.sleep(self._every)
        finally:
            # Nothing is awaited between finding nothing to tell and this.
            self._telling = None

    async def _tell_some(self) -> None:
        some = dict(itertools.islice(self._untold.items(), _MOST_AT_ONCE))
        taken = {name: bucket.untold for name, bucket in some.items()}
        for name, bucket in some.items():
            del self._untold[name]
            bucket.untold = 0
        try:
            with self._breaker.call():
                told = await self._tell(taken)
        except Exception as error:  # any: what was to be told is not asked about again
            self._go_alone(error)
            return
        self._pods = told.pods
        self._share(alone=False)
        now = self._clock()
        for bucket, until_full in zip(some.values(), told.until_full, strict=True):
            bucket.learn(now, until_full, self._whole)

    def _go_alone(self, error: Exception) -> None:
        # What is let in until Redis is back is not told then: clients had their shares for it, and
        # those who kept to them would be kept out for having been served.
        for bucket in self._untold.values():
            bucket.untold = 0
        self._untold.clear()
        if not self._alone:
            log.warning("rate_limit_alone", pods=self._pods, error=type(error).__name__)
        self._share(alone=True)

    def _share(self, *, alone: bool) -> None:
        if alone:
            self._terms = Terms.of(self._rate, self._burst, self._pods)
        else:
            self._terms = self._whole
            if self._alone:
                log.info("rate_limit_shared", pods=self._pods)
        self._alone = alone
        self._allowed, self._refused = self._counts[alone]
