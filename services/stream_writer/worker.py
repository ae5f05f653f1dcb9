"""The loops of a writer: those that take new entries, and the one that takes over old ones."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from services.shared.runtime.logging import get_logger
from services.stream_writer.budget import Budget
from services.stream_writer.claims import Claims
from services.stream_writer.entries import Delivery
from services.stream_writer.metrics import WriterMetrics
from services.stream_writer.patience import Patience, StoppingError
from services.stream_writer.settings import WriterSettings
from services.stream_writer.stream import Stream, is_lost
from services.stream_writer.writing import Writer

log = get_logger(__name__)

_BLOCK_MS = 3000
"""How long a read waits for entries: below the client's time-out, and short enough to stop."""
_BROKEN_SECONDS = 1.0


class Worker:
    """Gathers new entries into batches under a consumer's name, and has them written."""

    def __init__(
        self,
        consumer: str,
        stream: Stream,
        budget: Budget,
        writer: Writer,
        *,
        settings: WriterSettings,
        patience: Patience,
        metrics: WriterMetrics,
    ) -> None:
        self._consumer = consumer
        self._stream = stream
        self._budget = budget
        self._writer = writer
        self._settings = settings
        self._patience = patience
        self._metrics = metrics

    async def run(self) -> None:
        """Until the process is to stop; the batch at hand is finished."""
        await repeat(self._turn, self._patience)

    async def _turn(self) -> None:
        settings = self._settings
        batch = await self._patience.insist(
            "read", lambda: self._stream.read(self._consumer, settings.batch_size, _BLOCK_MS)
        )
        if not batch:
            return
        since = time.monotonic()
        # Waiting for company and for the turn to commit is one wait.
        seconds = await self._patience.insist("turn", self._budget.reserve)
        self._metrics.token_wait.observe(seconds)
        full = len(batch) >= settings.batch_size
        await self._patience.rest(
            seconds if full else max(seconds, settings.batch_timeout_ms / 1000)
        )
        # A full batch says that the stream is behind, as waiting for a turn does.
        behind = full or seconds > 0
        batch += await self._more(settings.most if behind else settings.batch_size, batch)
        await self._writer.write(batch, has_turn=True, since=since)

    async def _more(self, most: int, batch: list[Delivery]) -> list[Delivery]:
        try:
            return await self._stream.read(self._consumer, most - len(batch), None)
        except Exception as error:
            # What is in hand does not wait for it. What was given out in vain is overdue one day.
            log.debug("no_company", error=f"{type(error).__name__}: {error}")
            return []


class Reaper:
    """Takes over entries whose reader says nothing any more, and has them written.

    An entry that was delivered `max_deliveries` times without an answer is delivered once more,
    alone: what is tried beside it would share its fate and be blamed for it. If there is no answer
    to that, it is put away unread.
    """

    def __init__(
        self,
        claims: Claims,
        stream: Stream,
        writer: Writer,
        *,
        settings: WriterSettings,
        patience: Patience,
        metrics: WriterMetrics,
    ) -> None:
        self._claims = claims
        self._stream = stream
        self._writer = writer
        self._settings = settings
        self._patience = patience
        self._metrics = metrics

    async def run(self) -> None:
        """Until the process is to stop; the batch at hand is finished."""
        await repeat(self._turn, self._patience)

    async def _turn(self) -> None:
        claim_after = self._settings.claim_after_seconds
        try:
            await self._round()
        except StoppingError:
            raise
        except Exception as error:
            if is_lost(error):
                await self._patience.insist("group", self._stream.create)
                return
            # While Redis was away nobody could say that entries are being worked on: they get
            # the time to.
            await self._patience.after("claim", error)
            await self._patience.rest(claim_after)
        else:
            self._patience.fine()
            await self._patience.rest(claim_after / 3)

    async def _round(self) -> None:
        while not self._patience.stopping:
            claimed = await self._claims.some()
            if claimed.lost:
                log.error(
                    "entries_were_lost",
                    entries=claimed.lost[:20],
                    count=len(claimed.lost),
                    meaning="they were taken out of the stream before anybody wrote them",
                )
            if claimed.ready or claimed.careful:
                self._metrics.claimed.inc(len(claimed.ready) + len(claimed.careful))
                log.warning(
                    "entries_claimed", ready=len(claimed.ready), careful=len(claimed.careful)
                )
            if claimed.ready:
                await self._writer.write(claimed.ready)
            for entry, count in claimed.careful:
                await self._try_alone(entry, count)
            if not claimed.more:
                break
        gone = await self._claims.forget_gone(10 * self._settings.claim_after_seconds)
        if gone:
            log.info("consumers_forgotten", consumers=gone)

    async def _try_alone(self, entry: str, count: int) -> None:
        if self._patience.stopping:
            return
        if count > self._settings.max_deliveries:
            await self._writer.bury(
                entry, f"no answer to {count} deliveries, the last one alone", count
            )
            return
        delivery = await self._claims.take(entry)
        if delivery:
            log.warning("entry_tried_alone", entry=entry, deliveries=delivery.count)
            await self._writer.write([delivery])


async def repeat(turn: Callable[[], Awaitable[None]], patience: Patience) -> None:
    """`turn` until the process is to stop, whatever happens in it."""
    while not patience.stopping:
        patience.beat()
        try:
            await turn()
        except StoppingError:
            log.info("stopped_while_a_server_is_away")
        except Exception:  # whatever broke, what is not answered comes again
            log.exception("loop_broke")
            await patience.rest(_BROKEN_SECONDS)
