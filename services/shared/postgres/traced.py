"""A connection whose statements are steps in the trace of whoever makes them."""

from __future__ import annotations

from collections.abc import Awaitable
from types import MappingProxyType
from typing import Any, TypeVar

import asyncpg

from services.shared.runtime import context
from services.shared.tracing import spans
from services.shared.tracing.statements import summary

T = TypeVar("T")
_MOST_CHARACTERS = 2000


class TracedConnection(asyncpg.Connection):
    """The driver's. BEGIN and COMMIT, which go the same way, are steps as well."""

    about: spans.Attributes = MappingProxyType({})
    """Of the server and the database, as spans have it."""

    # Functions, not coroutines: what is not traced pays for one look and no further await.

    def execute(self, query: str, *args: Any, **more: Any) -> Any:
        return self._in_trace(query, super().execute(query, *args, **more))

    def executemany(self, command: str, args: Any, **more: Any) -> Any:
        return self._in_trace(command, super().executemany(command, args, **more))

    def fetch(self, query: str, *args: Any, **more: Any) -> Any:
        return self._in_trace(query, super().fetch(query, *args, **more))

    def fetchrow(self, query: str, *args: Any, **more: Any) -> Any:
        return self._in_trace(query, super().fetchrow(query, *args, **more))

    def fetchval(self, query: str, *args: Any, **more: Any) -> Any:
        return self._in_trace(query, super().fetchval(query, *args, **more))

    def _in_trace(self, query: str, answer: Awaitable[T]) -> Awaitable[T]:
        return answer if context.span() is None else self._step(query, answer)

    async def _step(self, query: str, answer: Awaitable[T]) -> T:
        name = summary(query)
        # Values travel beside the text, which is a constant of the program.
        about = {"db.query.summary": name, "db.query.text": query.strip()[:_MOST_CHARACTERS]}
        with spans.step(name, "CLIENT", {**self.about, **about}):
            return await answer


def about(host: str, port: int, database: str) -> spans.Attributes:
    """What every span of a connection says."""
    return {
        "db.system.name": "postgresql",
        "db.namespace": database,
        "server.address": host,
        "server.port": port,
    }
