"""A pool of processes for work that would hold up the event loop, and with it the heartbeat.

Its processes are forked by a server of their own (forkserver), which is made of a fresh interpreter
and has imported what they need: never by this process, whose threads may hold a lock just then.
They are made at the first use, and let go when nothing was to be done for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any, Final, ParamSpec, TypeVar

from prometheus_client import Counter

from services.shared.runtime.logging import get_logger
from services.shared.runtime.trouble import Trouble

log = get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
_SHORTEST, _LONGEST = 0.05, 5.0
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 5.0


class LostError(Exception):
    """The process that had a piece of work in hand died, or was ended as it did not answer."""


class Pool:
    """At most `processes` pieces of work at a time, each in a process of its own.

    Work is a function of a module and what can be pickled. When a process dies its fellows are
    ended as well, with what they had in hand: so work must have no effect but its answer, and work
    that must not be hurt by its neighbour needs a pool of one process.

    Args:
        preload: modules that the processes have imported before they are made.
        piece_seconds: work without an answer for so long is taken to be stuck, and its process
            is ended.
    """

    def __init__(
        self,
        processes: int,
        restarts: Counter,
        *,
        preload: Sequence[str] = (),
        piece_seconds: float = 60.0,
    ) -> None:
        self._processes = processes
        self._restarts = restarts
        self._preload = list(preload)
        self._piece_seconds = piece_seconds
        self._executor: ProcessPoolExecutor | None = None
        self._begun: ProcessPoolExecutor | None = None
        self._pause = _SHORTEST
        self._not_before = 0.0
        self._used = time.monotonic()
        self._trouble = Trouble()

    @property
    def made(self) -> bool:
        return self._executor is not None

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` makes of its arguments; what it raises. Repeated for as long as it takes."""
        while True:
            with contextlib.suppress(LostError):
                return await self.once(work, *args, **kwargs)

    async def once(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` makes of its arguments; what it raises. Raises LostError.

        A process that had died before it was given the work is replaced, and counts for nothing.
        """
        while True:
            executor = await self._ready()
            self._used = time.monotonic()
            try:
                if self._begun is not executor:  # what it takes to begin is not the work's time
                    await _answer(executor.submit(_nothing), _START_SECONDS)
                    self._begun = executor
                future = executor.submit(work, *args, **kwargs)
                break
            except (BrokenProcessPool, TimeoutError) as error:
                self._replace(executor, error)
        try:
            answer = await _answer(future, self._piece_seconds)
        except (BrokenProcessPool, TimeoutError) as error:
            self._replace(executor, error)
            raise LostError(f"{type(error).__name__}: {error}") from error
        self._used = time.monotonic()
        self._pause = _SHORTEST
        if self._trouble.over():
            log.info("pool_works_again")
        return answer

    async def _ready(self) -> ProcessPoolExecutor:
        await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
        if self._executor is None:
            self._executor = self._make()
        return self._executor

    def _make(self) -> ProcessPoolExecutor:
        method = "forkserver"
        if method not in multiprocessing.get_all_start_methods():
            method = "spawn"
        context = multiprocessing.get_context(method)
        if method == "forkserver":
            context.set_forkserver_preload(self._preload)
        # No part of the work is linear algebra; numpy makes threads for it all the same.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        return ProcessPoolExecutor(self._processes, context, initializer=_begin)

    def _replace(self, broken: ProcessPoolExecutor, error: Exception) -> None:
        """Have a new one made; all who had work in the broken one come here, the first counts."""
        if self._executor is not broken:
            return
        self._executor = None
        self._restarts.inc()
        # What kills its process each time must not keep the machine busy with making new ones.
        self._not_before = time.monotonic() + random.uniform(self._pause / 2, self._pause)  # noqa: S311
        self._pause = min(_LONGEST, 2 * self._pause)
        if self._trouble.worth_logging("pool_broken"):
            log.warning("pool_broken", error=f"{type(error).__name__}: {error}")
        _end(broken)

    def rest(self, idle_seconds: float) -> None:
        """Let the processes go when they have had nothing to do for so long."""
        if self._executor is not None and time.monotonic() - self._used > idle_seconds:
            executor, self._executor = self._executor, None
            executor.shutdown(wait=False)

    async def close(self) -> None:
        """End the processes, whatever they do."""
        executor, self._executor = self._executor, None
        if executor is not None:
            _end(executor)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await asyncio.to_thread(executor.shutdown)


async def _answer(future: Future[T], seconds: float) -> T:
    wrapped = asyncio.wrap_future(future)
    done, _ = await asyncio.wait({wrapped}, timeout=seconds)
    if not done:
        wrapped.cancel()
        raise TimeoutError(f"no answer within {seconds:g} s")
    if wrapped.cancelled():  # by whoever gave up the pool, for a piece that was stuck
        raise BrokenProcessPool("given up with work of others in it")
    return wrapped.result()


def _nothing() -> None:
    """What a process does first, so that it is there."""


def _end(executor: ProcessPoolExecutor) -> None:
    # Those of a pool that broke are ended by it; one that is stuck has to be ended from here.
    processes: dict[int, Any] = dict(getattr(executor, "_processes", None) or {})
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes.values():
        with contextlib.suppress(Exception):
            process.kill()


def _begin() -> None:
    """First of all in a process of the pool."""
    # Ctrl+C goes to all of a terminal's processes; how it ends is the service's affair.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    """End this process when the service's is no more: nobody else would."""
    connection.wait([sentinel])
    os._exit(1)
