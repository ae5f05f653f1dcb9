"""What many want at the same time is loaded once for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from services.shared.runtime import context

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Once(Generic[Key, Value]):
    """One load of a key at a time: who comes while it runs gets what it gets, or what it raises."""

    def __init__(self, load: Callable[[Key], Awaitable[Value]]) -> None:
        self._load = load
        self._loading: dict[Key, asyncio.Task[Value]] = {}

    async def get(self, key: Key) -> Value:
        """What `load` makes of the key. Who is cancelled while waiting disturbs nobody else."""
        loading = self._loading.get(key)
        if loading is None:
            loading = asyncio.create_task(self._run(key))
            self._loading[key] = loading
            loading.add_done_callback(lambda done: self._loaded(key, done))
        return await asyncio.shield(loading)

    async def _run(self, key: Key) -> Value:
        # Nobody's request: its log lines must not carry the one that started it. In the trace of
        # that one it is, as what it waited for.
        context.keep_span()
        return await self._load(key)

    def _loaded(self, key: Key, done: asyncio.Task[Value]) -> None:
        del self._loading[key]
        if not done.cancelled():
            done.exception()  # looked at, even when everybody who waited for it has left
