"""Processes for tasks, each on its own: what one does to its process hurts no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from prometheus_client import Counter

from services.shared.runtime.pool import LostError, Pool

P = ParamSpec("P")
T = TypeVar("T")
_PRELOAD: Final = ("services.grpc_service.work",)


class Slots:
    """`count` pools of one process. In a pool of more, a process that dies takes its fellows along,
    and nobody could tell whose work it was."""

    def __init__(self, count: int, restarts: Counter, *, piece_seconds: float) -> None:
        self._all = [
            Pool(1, restarts, preload=_PRELOAD, piece_seconds=piece_seconds) for _ in range(count)
        ]
        self._free = list(self._all)

    async def once(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` makes of its arguments; what it raises. Raises LostError.

        No more than `count` may be asked for at a time. The last one that was free is taken, so
        that no more processes exist than are needed; one that has lost its process, which is not
        made anew at once, comes last.
        """
        pool, place = self._free.pop(), len(self._all)
        try:
            return await pool.once(work, *args, **kwargs)
        except LostError:
            place = 0
            raise
        finally:
            self._free.insert(place, pool)

    def rest(self, idle_seconds: float) -> None:
        """Let processes go that have had nothing to do for so long."""
        for pool in self._free:
            pool.rest(idle_seconds)

    async def close(self) -> None:
        """End the processes, whatever they do."""
        for pool in self._all:
            await pool.close()
