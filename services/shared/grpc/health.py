"""grpc.health.v1: what /ready says, for who asks by gRPC.

https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2

from services.shared.grpc.calls import Call
from services.shared.grpc.errors import StatusError
from services.shared.grpc.methods import Method, Openly, Service
from services.shared.http.health import Readiness
from services.shared.runtime.once import Once

_OPEN: Final = Openly("the platform itself asks, as it asks /ready")
_Answer = health_pb2.HealthCheckResponse
_SERVING: Final = _Answer.ServingStatus.SERVING
_NOT_SERVING: Final = _Answer.ServingStatus.NOT_SERVING


class Health:
    """Of a server and the services on it: they are ready together."""

    def __init__(self, readiness: Readiness, services: Collection[str], every: float) -> None:
        """`every`: seconds between two looks for those who watch."""
        self._readiness = readiness
        self._services = {"", *services}
        self._every = every
        self._looks = Once(self._look)
        self._looked = float("-inf")
        self._status: int = _NOT_SERVING
        self._draining = asyncio.Event()

    def service(self) -> Service:
        """As a server takes it."""
        return Service(
            health_pb2.DESCRIPTOR.services_by_name["Health"],
            [
                Method("Check", self.check, _OPEN, quiet=True),
                Method("Watch", self.watch, _OPEN, quiet=True),
            ],
        )

    def drain(self) -> None:
        """Tell those who watch at once that the server is about to stop."""
        self._draining.set()

    async def check(self, request: Any, _call: Call) -> Any:
        if request.service not in self._services:
            raise StatusError(
                grpc.StatusCode.NOT_FOUND,
                "UNKNOWN_SERVICE",
                f"no such service is here; those that are: {', '.join(sorted(self._services))}",
            )
        return _Answer(status=await self._looks.get(""))

    async def watch(self, request: Any, _call: Call) -> AsyncIterator[Any]:
        if request.service not in self._services:
            # By the protocol it may come yet. Here none does: this is all there is to tell.
            yield _Answer(status=_Answer.ServingStatus.SERVICE_UNKNOWN)
            await asyncio.Event().wait()
        told = None
        while True:
            status = await self._fresh()
            if status != told:
                yield _Answer(status=status)
                told = status
            if self._draining.is_set():
                await asyncio.Event().wait()  # the last word; the server ends the stream
            try:
                async with asyncio.timeout(self._every):
                    await self._draining.wait()
            except TimeoutError:
                continue

    async def _fresh(self) -> int:
        """However many watch, the checks are made once in a while."""
        now = asyncio.get_running_loop().time()
        if self._readiness.draining or now - self._looked >= self._every / 2:
            return await self._looks.get("")
        return self._status

    async def _look(self, _: str) -> int:
        states = await self._readiness.evaluate()
        fine = all(state == "ok" for state in states.values())
        self._looked = asyncio.get_running_loop().time()
        self._status = _SERVING if fine else _NOT_SERVING
        return self._status
