"""Points on their way to Kafka: acknowledged by all in-sync replicas, or refused in plain words.

Who is refused is told whether something may have been accepted. So nothing is handed to the client
unless Kafka answered within the last moments: while points are acknowledged that is known, else
somebody looks first, once for all who wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaException

from services.ingest_service.telemetry.messages import Headers, Message
from services.ingest_service.telemetry.metrics import TelemetryMetrics
from services.ingest_service.telemetry.producer import Batch, Line
from services.ingest_service.telemetry.settings import PointSettings
from services.shared.kafka.clients import Config
from services.shared.runtime.logging import get_logger
from services.shared.runtime.once import Once
from services.shared.runtime.settings import SettingsError
from services.shared.runtime.trouble import Trouble

log = get_logger(__name__)

SETTLE_SECONDS = 2.0
"""What a request has left when the client has given its points up: it looks once in a second."""
TRUST_SECONDS = 2.0
"""For so long after an acknowledgement, or a look, Kafka is taken to be there."""
LOOK_SECONDS = 4.0
"""For one look."""
PAUSE_SECONDS = 0.5
"""After a look that found nobody, in which nobody looks again."""
IDLE_SECONDS = 300.0
"""A producer that nobody needs for so long is given up: even idle it wakes up, and is woken."""


class FullError(Exception):
    """Too many points wait already; nothing was sent."""


class AwayError(Exception):
    """Kafka did not acknowledge. `uncertain`: some of the points may have been accepted."""

    def __init__(self, reason: str, *, uncertain: bool) -> None:
        super().__init__(reason)
        self.uncertain = uncertain


class Sender:
    """Of one process; makes its producer when it is first needed.

    `config` is called for every producer, so that it reads the password anew.
    """

    def __init__(
        self, config: Callable[[], Config], settings: PointSettings, metrics: TelemetryMetrics
    ) -> None:
        self._config = config
        self._settings = settings
        self._metrics = metrics
        self._line: Line | None = None
        self._waiting = 0
        self._trusted_until = 0.0
        self._pause_until = 0.0
        self._used_at = 0.0
        self._looks: Once[None, Line] = Once(self._look)
        self._trouble = Trouble()
        self._closed = False
        metrics.waiting.set_function(lambda: self._waiting)

    async def send(self, messages: Sequence[Message], headers: Headers) -> None:
        """Return when all in-sync replicas have all of them, which go in their order.

        Raises FullError or AwayError, within the settings' time.
        """
        if self._waiting + len(messages) > self._settings.most_waiting:
            self._metrics.refused.labels("full").inc(len(messages))
            if self._trouble.worth_logging("full"):
                log.warning("points_not_taken", reason="too many wait", waiting=self._waiting)
            raise FullError
        started = time.monotonic()
        try:
            await self._send(messages, headers)
        except AwayError as error:
            reason = "unknown" if error.uncertain else "away"
            self._metrics.refused.labels(reason).inc(len(messages))
            if self._trouble.worth_logging(reason):
                log.warning("points_not_taken", reason=str(error), uncertain=error.uncertain)
            raise
        if self._trouble.over():
            log.info("points_are_taken_again")
        self._metrics.accepted.inc(len(messages))
        self._metrics.seconds.observe(time.monotonic() - started)

    async def close(self) -> None:
        """Wait for what was handed over, as long as the client may take for it."""
        self._closed = True
        line, self._line = self._line, None
        if line is not None:
            line.retire()
            await asyncio.to_thread(line.join, self._settings.seconds + 1)

    async def _send(self, messages: Sequence[Message], headers: Headers) -> None:
        # Counted from here until their last report, not until somebody lost patience: the client
        # holds them for as long.
        size = len(messages)
        self._waiting += size
        answer: asyncio.Future[None] | None = None
        try:
            async with asyncio.timeout(self._settings.seconds):
                line = self._trusted()
                while line is None or line.retired:  # also while this one waited to go on
                    line = await self._looks.get(None)
                answer = asyncio.get_running_loop().create_future()
                line.send(Batch(size, answer), messages, headers)
                await answer
        except TimeoutError:
            late = f"no answer within {self._settings.seconds:g} s"
            raise AwayError(late, uncertain=answer is not None) from None
        finally:
            if answer is None:
                self._waiting -= size

    def _trusted(self) -> Line | None:
        line = self._line
        if line is None or line.lost or line.doubtful or time.monotonic() > self._trusted_until:
            return None
        return line

    async def _look(self, _: None) -> Line:
        """A line that Kafka answers. Raises AwayError: nothing was sent."""
        if time.monotonic() < self._pause_until:
            raise AwayError("Kafka did not answer a moment ago", uncertain=False)
        give_up = time.monotonic() + LOOK_SECONDS
        try:
            line = await self._open()
            try:
                await asyncio.to_thread(line.look, LOOK_SECONDS)
            except KafkaException:
                left = give_up - time.monotonic()
                if not line.lost or left < 1:
                    raise
                # It was let in no more: with the password as it is now another may be.
                line = await self._open()
                await asyncio.to_thread(line.look, left)
        except (KafkaException, SettingsError, OSError) as error:
            self._pause_until = time.monotonic() + PAUSE_SECONDS
            raise AwayError(f"{type(error).__name__}: {error}", uncertain=False) from None
        self._trust(line)
        return line

    async def _open(self) -> Line:
        """The line there is, if it is of use, else another."""
        if self._closed:
            raise AwayError("the process ends", uncertain=False)
        line = self._line
        if line is not None and not line.lost:
            return line
        if line is not None:
            self._line = None
            line.retire()
        self._line = await asyncio.to_thread(self._make, asyncio.get_running_loop())
        self._metrics.producers.inc()
        # One that never finds Kafka is given up as well: nobody serves what it has to say.
        self._count_idle()
        return self._line

    def _make(self, loop: asyncio.AbstractEventLoop) -> Line:
        return Line(self._config(), self._on_settled, loop, self._settings.seconds)

    def _trust(self, line: Line) -> None:
        line.doubtful = False
        self._count_idle()
        self._trusted_until = time.monotonic() + TRUST_SECONDS

    def _count_idle(self) -> None:
        if not self._used_at:
            asyncio.get_running_loop().call_later(IDLE_SECONDS, self._give_up_idle)
        self._used_at = time.monotonic()

    def _on_settled(self, line: Line, batches: Sequence[Batch]) -> None:
        trusted = False
        for batch in batches:
            self._waiting -= batch.size
            if batch.error is None:
                trusted = True
            elif batch.refused < batch.size:
                self._trusted_until = 0.0
            if not batch.answer.done():
                _answer(batch)
        if trusted and line is self._line:
            self._trust(line)

    def _give_up_idle(self) -> None:
        """Come back when it may be the time."""
        left = self._used_at + IDLE_SECONDS - time.monotonic()
        if self._waiting or left > 0:
            asyncio.get_running_loop().call_later(max(left, 1.0), self._give_up_idle)
            return
        self._used_at = 0.0
        line, self._line = self._line, None
        if line is not None:
            line.retire()


def _answer(batch: Batch) -> None:
    if batch.error is None:
        batch.answer.set_result(None)
        return
    # Others of the request may be there, or on their way: what was refused for certain is not.
    uncertain = batch.refused < batch.size
    batch.answer.set_exception(AwayError(batch.error, uncertain=uncertain))
