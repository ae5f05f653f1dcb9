"""Secrets: made here, kept as bcrypt hashes, verified in a few threads beside the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import bcrypt

from services.shared.tracing import spans

COST: Final = 10
_MOST_WAITING: Final = 32
"""Secrets in line for each thread: seconds, and who came later is told to come back."""

Result = TypeVar("Result")


class BusyError(Exception):
    """More secrets wait to be verified than can be soon."""


def new_secret() -> str:
    """256 random bits in 43 characters that need no escaping; bcrypt sees the first 72 bytes."""
    return secrets.token_urlsafe(32)


def fingerprint(secret: str) -> int:
    """32 bits of a secret's digest, by which a wrong one is known without bcrypt.

    That it is kept beside the hash leaves 224 of the 256 bits to guess.
    """
    return int.from_bytes(hashlib.sha256(secret.encode()).digest()[:4])


class Hasher:
    """bcrypt takes tens of milliseconds of a core: the loop must not wait for it."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="bcrypt")
        self._most = threads * _MOST_WAITING
        self._waiting = 0

    async def hash(self, secret: str) -> str:
        """Of a secret of ours. Raises BusyError."""
        made = await self._run(lambda: bcrypt.hashpw(secret.encode(), bcrypt.gensalt(COST)))
        return made.decode()

    async def matches(self, secret: str, hashed: str) -> bool:
        """Raises BusyError."""
        given = secret.encode()
        if len(given) > 72:
            return False  # bcrypt takes no more, and none of ours is as long
        return await self._run(lambda: bcrypt.checkpw(given, hashed.encode()))

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= self._most:
            raise BusyError
        self._waiting += 1
        try:
            with spans.step("bcrypt", "INTERNAL", {}):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
