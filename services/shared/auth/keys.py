"""The keys that tokens are verified with: fetched, kept, and looked for again.

What was fetched once stays, however long the authorization server is away: the tokens that it
signed before are as good as they were, and end by themselves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from services.shared.auth.published import Key, KeySetError, fetch
from services.shared.runtime.logging import get_logger
from services.shared.runtime.once import Once
from services.shared.runtime.trouble import Trouble

log = get_logger(__name__)

FETCH_SECONDS: Final = 2.0
APART_SECONDS: Final = 1.0
"""Between two looks that requests ask for, however many they are and whatever they show."""
_SOON_SECONDS: Final = 2.0
"""After a look that failed."""

Fetch = Callable[[str, float], dict[str, Key]]


class Keys:
    """Those of one authorization server."""

    def __init__(self, url: str, *, fetch: Fetch = fetch, apart: float = APART_SECONDS) -> None:
        self._url = url
        self._fetch = fetch
        self._apart = apart
        self._keys: dict[str, Key] = {}
        self._looks = Once(self._look)
        self._looked = float("-inf")
        self._tried = False
        self._trouble = Trouble()
        self.fetched_at: float | None = None
        """By the clock of the day, for the metric; None: never."""

    def __len__(self) -> int:
        return len(self._keys)

    async def first_look(self) -> None:
        """Wait until it is known whether there are keys; from then on that is known at once."""
        if not self._tried:
            await self._looks.get("")

    async def find(self, kid: str) -> Key | None:
        """The key of that name, after a look if it is not known.

        All who look meanwhile share one look, and two looks begin `apart` seconds apart: who sends
        names of no key delays others of his kind, and loads nobody.
        """
        if kid not in self._keys:
            await self._looks.get("")
        return self._keys.get(kid)

    async def keep_fresh(self, every: float) -> None:
        """Look again and again; cancel it to stop."""
        while True:
            fetched = await self._looks.get("")
            await asyncio.sleep(every if fetched else min(every, _SOON_SECONDS))

    async def _look(self, _: str) -> bool:
        """Whether there are news of the keys, be it that nothing has changed."""
        wait = self._looked + self._apart - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        self._looked = time.monotonic()
        try:
            async with asyncio.timeout(2 * FETCH_SECONDS):
                found = await asyncio.to_thread(self._fetch, self._url, FETCH_SECONDS)
        except (KeySetError, TimeoutError) as error:
            if self._trouble.worth_logging("keys"):
                # Who answers a byte at a time is given up; its thread ends when it does.
                said = str(error) or f"{self._url} did not answer in time"
                log.warning("keys_not_fetched", error=said, known=sorted(self._keys))
            return False
        finally:
            self._tried = True
        if self._trouble.over():
            log.info("keys_fetched_again")
        self._take(found)
        self.fetched_at = time.time()
        return True

    def _take(self, found: dict[str, Key]) -> None:
        before = self._keys
        # A key that is the same stays the same object: what it signed stays remembered.
        after = {
            kid: old if (old := before.get(kid)) and old.thumbprint == key.thumbprint else key
            for kid, key in found.items()
        }
        self._keys = after
        gone = [key for kid, key in before.items() if after.get(kid) is not key]
        for key in gone:
            key.gone = True
        new = sorted(kid for kid, key in after.items() if before.get(kid) is not key)
        if new or gone:
            log.info("keys_changed", new=new, gone=sorted(key.kid for key in gone))
