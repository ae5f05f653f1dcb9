"""One member of a consumer group: takes a batch, has it handled, then commits its offsets.

librdkafka calls the rebalance callbacks only from within poll and consume, and this thread calls
neither while a batch is being handled, so nothing is in flight when partitions are revoked. While a
server is away the partitions are paused and polling goes on, which keeps the group membership.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from confluent_kafka import Message

from services.shared.kafka.clients import Config
from services.shared.kafka.consumer_metrics import ConsumerMetrics
from services.shared.kafka.dead_letters import BadMessage, DeadLetters, tell
from services.shared.kafka.group import BatchSettings
from services.shared.kafka.member import Member, client
from services.shared.kafka.stall import StalledError, StallWatch
from services.shared.runtime.heartbeat import Heartbeat
from services.shared.runtime.logging import get_logger
from services.shared.runtime.sizing import FittingSize
from services.shared.runtime.trouble import Trouble

log = get_logger(__name__)

Handler = Callable[[Sequence[Message]], Coroutine[Any, Any, list[BadMessage]]]
"""Has the effect of some messages, and returns those that can never have one.

In the order they are given, and safe to repeat: the same messages come again after a failure. What
it raises is taken for the absence of a server: the batch is tried again, in smaller parts, for as
long as it takes.
"""

T = TypeVar("T")
_SHORTEST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0
_SOUND_SECONDS = 30.0  # a client that lasted so long did not break because of its settings
_LOOK_SECONDS = 5.0
_DEAD_LETTER_SECONDS = 10.0


class _AbandonedError(Exception):
    """The batch is no longer ours, or the service stops; somebody will get it again."""


class ConsumerLoop:
    """Consumes `topics` with `handler`, which runs in `loop`.

    run() blocks; call it in a thread of its own. At most `settings.batch_size` messages are handled
    at once.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        topics: Sequence[str],
        settings: BatchSettings,
        *,
        handler: Handler,
        dead_letters: DeadLetters,
        metrics: ConsumerMetrics,
        heartbeat: Heartbeat,
        loop: asyncio.AbstractEventLoop,
        leave_on_stop: bool = True,
    ) -> None:
        self._config = config
        self._topics = topics
        self._settings = settings
        self._handler = handler
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._heartbeat = heartbeat
        self._loop = loop
        self._leave_on_stop = leave_on_stop
        self._stopping = threading.Event()
        self._pending: list[Message] = []
        self._part = FittingSize(settings.batch_size)
        self._trouble = Trouble()
        self._look_due = 0.0
        self._stall = StallWatch(settings.stalled_after_seconds)

    def stop(self) -> None:
        """Finish the batch that is being handled, commit it, and leave. Thread-safe."""
        self._stopping.set()

    def run(self) -> None:
        """Consume until stop(). A client that broke for good is replaced after a pause."""
        pause = _SHORTEST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._session(Member(partial(client, self._config()), self._metrics))
            except Exception as error:  # whatever broke, uncommitted messages come again
                log.exception("consumer_broke")
                if isinstance(error, StalledError):
                    self._metrics.stalls.inc()
                if time.monotonic() - began > _SOUND_SECONDS:
                    pause = _SHORTEST_PAUSE
                self._heartbeat.beat()
                self._stopping.wait(pause)
                pause = min(_LONGEST_PAUSE, 2 * pause)

    def _session(self, member: Member) -> None:
        try:
            member.join(self._topics)
            while not self._stopping.is_set():
                self._turn(member)
            if self._leave_on_stop:
                member.leave()
        finally:
            member.close()

    def _turn(self, member: Member) -> None:
        self._heartbeat.beat()
        self._pending = member.take(self._settings.batch_size, self._settings.gather_seconds)
        if self._pending:
            try:
                self._handle(member)
            except _AbandonedError:
                log.info("batch_abandoned", messages=len(self._pending))
        now = time.monotonic()
        if now >= self._look_due:
            self._look_due = now + _LOOK_SECONDS
            # What could not be committed must not wait for the next message: others go by it.
            member.commit()
            member.measure_lag()
            self._stall.look(member.unread)

    def _handle(self, member: Member) -> None:
        done: list[Message] = []
        losses = member.losses
        try:
            # More than once only after a failure: messages came in meanwhile, or a part failed.
            while len(done) < len(self._pending):
                if done:
                    if self._stopping.is_set():
                        break
                    self._stand_by(member, 0, losses)
                done += self._handle_part(member, len(done))
        finally:
            member.resume()
        member.commit(done)

    def _handle_part(self, member: Member, start: int) -> list[Message]:
        """Handle some of what is pending from `start` on; gives what it was."""

        def handle() -> tuple[list[Message], list[BadMessage]]:
            part = self._pending[start : start + self._part.now]
            try:
                bad = self._in_loop(self._handler(part))
            except Exception:
                self._part.failed(len(part))
                raise
            self._part.succeeded()
            return part, bad

        part, bad = self._insist(member, handle)
        if bad:
            self._insist(member, lambda: self._dead_letters.send(bad, _DEAD_LETTER_SECONDS))
            for letter in bad:
                tell(letter)
                self._metrics.dead_letters.labels(letter.message.topic()).inc()
        for message in part:
            self._metrics.consumed.labels(message.topic()).inc()
        return part

    def _in_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        while True:
            try:
                return future.result(timeout=1)
            except concurrent.futures.TimeoutError:
                if future.done():  # the coroutine's own TimeoutError
                    raise
                # Every statement has a timeout of its own: slow is not stuck.
                self._heartbeat.beat()

    def _insist(self, member: Member, action: Callable[[], T]) -> T:
        """Repeat `action` until it succeeds, polling paused partitions in between."""
        pause = 0.2
        losses = member.losses
        while True:
            try:
                answer = action()
            except Exception as error:  # any: nothing may be skipped, whatever the reason
                if self._trouble.worth_logging("batch_will_be_retried"):
                    log.warning("batch_will_be_retried", error=f"{type(error).__name__}: {error}")
            else:
                if self._trouble.over():
                    log.info("batch_recovered")
                return answer
            self._metrics.retries.inc()
            self._stand_by(member, pause, losses)
            pause = min(_LONGEST_PAUSE, pause * 2)

    def _stand_by(self, member: Member, seconds: float, losses: int) -> None:
        """Poll paused partitions for `seconds` and once at least: it keeps the membership.

        Raises _AbandonedError when partitions go, or the service stops.
        """
        member.pause()
        until = time.monotonic() + seconds
        while True:
            self._heartbeat.beat()
            if self._stopping.is_set():
                raise _AbandonedError
            left = until - time.monotonic()
            kept = member.poll(max(0.0, min(0.2, left)))
            if member.losses != losses:
                # Not committed, so whoever owns the partitions now gets the batch. What this
                # poll returned belongs to the new assignment.
                member.carry(kept)
                raise _AbandonedError
            # Paused partitions give nothing, but nothing that came may be dropped.
            self._pending += kept
            if left <= 0:
                return
