"""What is done with a batch of entries: stored, then settled; what cannot be stored is put away."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from services.shared.postgres.database import DatabaseUnavailableError
from services.shared.runtime import context
from services.shared.runtime.logging import get_logger
from services.shared.runtime.sizing import FittingSize
from services.shared.stream.settle import Settling
from services.shared.tracing import spans
from services.stream_writer.budget import Budget
from services.stream_writer.entries import (
    BadEntryError,
    Delivery,
    Entry,
    Versions,
    by_document,
    part,
    to_entry,
)
from services.stream_writer.metrics import WriterMetrics
from services.stream_writer.patience import Patience
from services.stream_writer.refusals import Refused, store_or_refuse
from services.stream_writer.store import DocumentStore
from services.stream_writer.stream import Hold
from services.stream_writer.traced import batch

log = get_logger(__name__)

_MOST_CHARACTERS = 16 * 2**20
"""Of documents in one statement: what a server takes in a fraction of the time it is given."""


class Writer:
    """Writes the batches of one loop, one after the other.

    Safe to repeat with the same entries, by anybody and at any time: what is stored already
    changes nothing, and what is settled already stays so.

    `most` entries are written at once, and more than `usual` only when the stream is behind.
    `copies_stay`: seconds for which stored documents can still be read from the stream.
    """

    def __init__(
        self,
        store: DocumentStore,
        settling: Settling,
        budget: Budget,
        hold: Hold,
        *,
        most: int,
        usual: int,
        copies_stay: float,
        patience: Patience,
        metrics: WriterMetrics,
    ) -> None:
        self._store = store
        self._settling = settling
        self._budget = budget
        self._hold = hold
        self._patience = patience
        self._metrics = metrics
        self._fitting = FittingSize(most)
        self._usual = usual
        self._copies_stay = copies_stay
        self._has_turn = False
        self._changed = 0

    async def write(
        self,
        deliveries: Sequence[Delivery],
        *,
        has_turn: bool = False,
        since: float | None = None,
    ) -> None:
        """Store and settle all of them, however long that takes.

        `since`: when the first of them was given out, by the monotonic clock; if not given, now.
        `has_turn`: the time has come of a slot that was reserved for the first commit.
        Raises StoppingError when the process stops while a server is away.
        """
        started = time.monotonic()
        self._has_turn = has_turn
        self._hold.take([delivery.entry for delivery in deliveries], since)
        self._metrics.batch_size.observe(len(deliveries))
        with batch(deliveries):
            entries: list[Entry] = []
            for delivery in deliveries:
                try:
                    entries.append(to_entry(delivery))
                except BadEntryError as error:
                    await self.bury(delivery.entry, f"no document: {error}", delivery.count)
            await self._write(by_document(entries))
            self._hold.take(())
            seconds = time.monotonic() - started
            self._metrics.write_duration.observe(seconds, spans.exemplar())

    async def _write(self, documents: Sequence[Versions]) -> None:
        while documents:
            some = part(documents, self._fitting.now, _MOST_CHARACTERS)
            self._changed = 0
            try:
                await self._hold.renew()
                refused = await store_or_refuse(some, self._commit)
            except Exception as error:  # whatever it is, the entries are not answered yet
                if isinstance(error, DatabaseUnavailableError):
                    self._fitting.failed(len(some))  # it may have been too much at once
                await self._patience.after("write", error)
                continue
            self._fitting.succeeded()
            self._patience.fine()
            await self._answer(some, refused)
            documents = documents[len(some) :]

    async def _answer(self, documents: Sequence[Versions], refused: Sequence[Refused]) -> None:
        # What is stored first: that makes room in a Redis that has none for dead letters.
        bad = {letter.entry.key for letter in refused}
        good = [
            entry for versions in documents for entry in reversed(versions) if entry.key not in bad
        ]
        await self._settle(good)
        self._metrics.documents.labels("superseded").inc(max(0, len(good) - self._changed))
        for letter in refused:
            await self.bury(letter.entry.key, letter.reason, letter.entry.deliveries, letter)

    async def _commit(self, entries: Sequence[Entry]) -> None:
        if self._has_turn:
            self._has_turn = False
        else:
            await self.take_turn()
        await self._hold.renew()
        changed = await self._store.write(entries)
        self._patience.beat()
        self._changed += changed
        self._metrics.commits.inc()
        self._metrics.documents.labels("written").inc(changed)
        now = time.time()
        for entry in entries:
            self._metrics.document_age.observe(max(0.0, now - entry.version[0] / 1000))

    async def take_turn(self) -> None:
        """Wait for the next slot among the commits of all writers."""
        seconds = await self._budget.reserve()
        self._metrics.token_wait.observe(seconds)
        await self._patience.rest(seconds)

    async def _settle(self, entries: Iterable[Entry]) -> None:
        pairs = [(entry.key, entry.document_id) for entry in entries]
        # A stream that is behind has better uses for its memory.
        stay = self._copies_stay if len(pairs) <= self._usual else 0
        await self._patience.insist(
            "settle", lambda: self._settling.settle(pairs, copies_stay=stay)
        )

    async def bury(
        self, entry: str, reason: str, deliveries: int, refused: Refused | None = None
    ) -> None:
        """Put an entry away as a dead letter, and say so."""
        letter = await self._patience.insist(
            "dead_letter", lambda: self._settling.bury(entry, reason, deliveries)
        )
        if letter is None:
            return  # somebody else has answered it
        self._metrics.documents.labels("dead_letter").inc()
        log.error(
            "dead_letter",
            entry=entry,
            dead_letter=letter,
            reason=reason,
            deliveries=deliveries,
            document_id=refused.entry.document_id[:200] if refused else None,
            correlation_id=refused.entry.correlation_id if refused else None,
            **context.ids_in(refused.entry.traceparent if refused else None),
        )
