"""A Kafka producer, and the thread that hears what becomes of what it is given.

confluent-kafka's AIOProducer hands over messages in a thread of a pool, resolves a future for each
of them, and its batches cannot carry headers. Here messages are handed over where the loop runs,
which only puts them into the client's queue, and all requests whose last report came in one round
of polling wake the loop once.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from services.contracts.topics import TELEMETRY_POINTS
from services.ingest_service.telemetry.messages import Headers
from services.ingest_service.telemetry.messages import Message as Given
from services.shared.kafka.client_log import with_log
from services.shared.kafka.clients import Config, is_permanent, is_producer_lost, is_topic
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

_SLICE = 0.5
"""Seconds of a poll that nothing ends."""


class Batch:
    """The points of one request on their way, and what became of them.

    Its reports come in the producer's thread; the loop looks at it when all are in.
    """

    __slots__ = ("acked", "answer", "error", "left", "refused", "size")

    def __init__(self, size: int, answer: asyncio.Future[None]) -> None:
        self.size = size
        self.answer = answer
        self.left = size
        self.acked = 0
        self.refused = 0
        """By the broker, or before they were sent: they are not there, and will not be."""
        self.error: str | None = None
        """What was said of the first that was not acknowledged."""

    def note(self, error: KafkaError | None) -> None:
        """What became of one."""
        self.left -= 1
        if error is None:
            self.acked += 1
            return
        if is_topic(error) or is_permanent(error):
            self.refused += 1
        if self.error is None:
            self.error = f"{error.name()}: {error.str()}"


class Line:
    """One producer, from its making until its last message is settled. Used by one loop.

    `settled` is called in the loop with batches whose points all have their reports.
    """

    def __init__(
        self,
        config: Config,
        settled: Callable[[Line, Sequence[Batch]], None],
        loop: asyncio.AbstractEventLoop,
        last_seconds: float,
    ) -> None:
        """`last_seconds`: for what is out when the line is retired.

        Reads the CA's file; blocks for a moment. Raises KafkaException.
        """
        self.lost = False
        """Nothing more will come of it: it broke for good, or was refused."""
        self.doubtful = False
        """All brokers were out of reach since somebody looked."""
        self._settled = settled
        self._last_seconds = last_seconds
        self._loop = loop
        self._out: set[Batch] = set()
        self._done: list[Batch] = []
        self._cut: deque[tuple[Batch, int, KafkaError]] = deque()
        """Batches of which the client did not take all, how many not, and why."""
        self._looking = False
        self._retired_at: float | None = None
        self._woken = threading.Event()
        config = with_log(config, self._on_lost)
        self._report = config["error_cb"]
        self._producer = Producer(config | {"error_cb": self._on_error})
        # A daemon: the end of the process need not wait for brokers that are away.
        self._thread = threading.Thread(target=self._run, name="telemetry-producer", daemon=True)
        self._thread.start()

    def send(self, batch: Batch, given: Sequence[Given], headers: Headers) -> None:
        """Hand over messages, in their order; their reports are the batch's."""
        produce = self._producer.produce

        def report(error: KafkaError | None, _message: Message) -> None:
            self._note(batch, error)

        self._out.add(batch)
        taken = 0
        try:
            for key, value in given:
                produce(TELEMETRY_POINTS, value, key, headers=headers, on_delivery=report)
                taken += 1
        except (BufferError, KafkaException) as error:
            said = KafkaError._QUEUE_FULL if isinstance(error, BufferError) else error.args[0]
            said = said if isinstance(said, KafkaError) else KafkaError(said)
            self._cut.append((batch, len(given) - taken, said))
        self._woken.set()

    def look(self, seconds: float) -> None:
        """Return when the cluster says where the topic is; blocks. Raises KafkaException."""
        until = time.monotonic() + seconds
        self._looking = True
        self._woken.set()  # what goes wrong on the way is heard by polling
        try:
            while True:
                try:
                    return self._look(min(1.0, seconds))
                except KafkaException:
                    if self.lost or time.monotonic() >= until:
                        raise
                time.sleep(0.05)
        finally:
            self._looking = False

    def _look(self, seconds: float) -> None:
        found = self._producer.list_topics(TELEMETRY_POINTS, timeout=seconds)
        error = found.topics[TELEMETRY_POINTS].error
        if error is not None:
            raise KafkaException(error)

    @property
    def retired(self) -> bool:
        """Whether it takes no more."""
        return self._retired_at is not None

    def retire(self) -> None:
        """Take no more, and end when what is out is settled, in `last_seconds` at most."""
        self._retired_at = time.monotonic()
        self._woken.set()

    def join(self, seconds: float) -> bool:
        """Whether it ended within `seconds`; blocks."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    # Everything below runs in the thread.

    def _run(self) -> None:
        try:
            while True:
                self._woken.wait()
                self._woken.clear()
                while len(self._producer) or self._cut or self._looking:
                    self._poll()
                    if self._is_over_time():
                        self._producer.purge(in_queue=True, in_flight=True, blocking=False)
                        self._poll()
                        return
                if self._retired_at is not None:
                    return
        except Exception:  # a mistake of ours; the next request makes another line
            self.lost = True
            log.exception("producer_thread_failed")
        finally:
            self._tell()
            ended = KafkaError(KafkaError._DESTROY)
            self._cut.extend((batch, batch.left, ended) for batch in tuple(self._out))
            self._tell()
            # Here, as taking it down may take a while, and whoever held it last would wait.
            del self._producer

    def _poll(self) -> None:
        self._producer.poll(_SLICE)
        self._tell()

    def _tell(self) -> None:
        while self._cut:
            batch, missing, error = self._cut.popleft()
            for _ in range(missing):
                self._note(batch, error)
        if self._done:
            done, self._done = self._done, []
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._settled, self, done)

    def _is_over_time(self) -> bool:
        retired = self._retired_at
        return retired is not None and time.monotonic() - retired > self._last_seconds

    def _note(self, batch: Batch, error: KafkaError | None) -> None:
        batch.note(error)
        if error is not None and is_producer_lost(error):
            self.lost = True
        if not batch.left:
            self._out.discard(batch)
            self._done.append(batch)

    def _on_lost(self) -> None:
        self.lost = True

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.doubtful = True
        self._report(error)
