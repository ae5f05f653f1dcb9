"""The alarm clock of whoever works on what writes leave: NOTIFY when it gets through.

First of all that is the relay. Where every piece of work comes with an event, who does that work
needs no channel of its own.
"""

from __future__ import annotations

import asyncio

from services.shared.outbox.wakeup import CHANNEL
from services.shared.postgres.database import Database
from services.shared.runtime.logging import get_logger
from services.shared.runtime.trouble import Trouble

log = get_logger(__name__)

# A LISTEN connection that died silently (a vanished node) shows only when it is used.
_CHECK_SECONDS = 10.0
_AGAIN_SECONDS = 1.0


class Wake:
    """Set by a NOTIFY on the outbox channel, or by whoever has another reason, as a stop signal.

    One waits for it. Who else is to wake for the same reasons is one of the `others`, which are set
    with it: one connection that listens is enough.
    """

    def __init__(self, *others: Wake) -> None:
        self._event = asyncio.Event()
        self._others = others

    def set(self) -> None:
        self._event.set()
        for other in self._others:
            other.set()

    async def wait(self, seconds: float) -> None:
        """Return at the next wake-up, or one that was not waited for yet, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            pass
        self._event.clear()

    async def listen(self, database: Database) -> None:
        """LISTEN for ever, connecting again whenever the connection is lost. Cancel it to stop.

        A notification lost meanwhile costs nothing but the wait until the next poll.
        """
        trouble = Trouble()
        while True:
            try:
                await self._listen_once(database, trouble)
            except Exception as error:  # polling carries on by itself
                if trouble.worth_logging("listen_lost"):
                    log.warning("listen_lost", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _listen_once(self, database: Database, trouble: Trouble) -> None:
        user = database.user()
        connection = await database.connect()
        try:
            await connection.add_listener(CHANNEL, lambda *_: self.set())
            if trouble.over():
                log.info("listen_recovered")
            # Of another user it would keep the one before from being let go.
            while not connection.is_closed() and database.user() == user:
                await asyncio.sleep(_CHECK_SECONDS)
                await connection.execute("SELECT 1")
        finally:
            await connection.close(timeout=1)
