"""The trees of what services that relay and write do for a message, without the servers they stand
on."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry

from services.async_writer.metrics import WriterMetrics as AsyncMetrics
from services.async_writer.processing import Processor as PointProcessor
from services.async_writer.store import PointStore
from services.contracts.envelope import Envelope
from services.contracts.ids import new_id
from services.cpu_writer.closing import Closer
from services.cpu_writer.member import Member, Owned
from services.cpu_writer.metrics import WriterMetrics as CpuMetrics
from services.cpu_writer.points import Batch, parse
from services.cpu_writer.progress import Progress
from services.cpu_writer.settings import CpuWriterSettings
from services.cpu_writer.store import RollupStore
from services.cpu_writer.traced import Reading
from services.cpu_writer.waiting import Waiting
from services.cpu_writer.windows import Partition
from services.event_worker.metrics import WorkerMetrics
from services.event_worker.records import to_record
from services.outbox_relay.metrics import RelayMetrics
from services.outbox_relay.outcomes import Answer, OutboxEvent
from services.outbox_relay.publisher import Publisher
from services.outbox_relay.traced import SendSpans
from services.shared.inbox.processing import Processor as EventProcessor
from services.shared.inbox.records import Record
from services.shared.inbox.sequencing import Decision
from services.shared.inbox.store import Inbox
from services.shared.inbox.tally import Tally
from services.shared.kafka.traced import in_traces
from services.shared.runtime.context import TraceContext
from services.shared.runtime.heartbeat import Heartbeat
from services.shared.runtime.pool import Pool
from services.shared.tracing import spans
from services.stream_writer.entries import Delivery, Entry
from services.stream_writer.metrics import WriterMetrics as StreamMetrics
from services.stream_writer.patience import Patience
from services.stream_writer.writing import Writer
from tests.harness.traces import (
    CALLER,
    TRACE,
    Spans,
    about,
    caller,
    links_of,
    recording,
    span_of,
    trace_of,
)

BROKERS = {"test.mock.num.brokers": 1, "bootstrap.servers": "none.invalid:1"}


@pytest.fixture
def traces() -> Any:
    with recording() as kept:
        yield kept


def event(traceparent: str | None, topic: str = "resource.created") -> OutboxEvent:
    made = Envelope(new_id(), topic, "r", 1, "{}", traceparent=traceparent)
    return OutboxEvent(made, lane=1, seq=1, attempts=1, created_at=datetime.now(UTC))


async def published(batch: Sequence[OutboxEvent]) -> list[Answer]:
    publisher = Publisher(lambda: {**BROKERS}, RelayMetrics(CollectorRegistry()))
    loop = asyncio.get_running_loop()
    until = loop.time() + 30
    try:
        results = await publisher.publish(batch, enqueue_until=until, settle_until=until)
    finally:
        await publisher.close()
    return [one.answer for one in results]


async def test_an_event_is_sent_in_the_trace_of_its_row(traces: Spans) -> None:
    batch = [event(CALLER), event(None), event(caller(2, sampled=False)), event("nonsense")]
    assert await published(batch) == [Answer.ACKED] * 4
    assert traces.tree() == {"send resource.created": {}}
    [made] = traces.all
    assert (
        about(made).items()
        >= {
            "messaging.system": "kafka",
            "messaging.operation.type": "send",
            "messaging.destination.name": "resource.created",
            "messaging.message.id": batch[0].event.id,
            "messaging.kafka.message.key": "r",
            "messaging.kafka.offset": 0,
            "millrace.outbox.attempts": 1,
        }.items()
    )
    assert 0 <= cast(float, about(made)["millrace.outbox.seconds"]) < 60


def test_an_events_message_remembers_its_sending_and_one_that_is_not_recorded_its_row(
    traces: Spans,
) -> None:
    sending, unsampled = SendSpans(), event(caller(2, sampled=False))
    made = sending.begin(0, event(CALLER))
    assert sending.begin(0, event(CALLER)).traceparent == made.traceparent
    assert sending.begin(1, unsampled) is unsampled.event
    sending.give_up()
    [span] = traces.all
    assert made.traceparent == TraceContext(TRACE, span_of(span), True).traceparent
    assert about(span)["error.type"] == "unanswered"


class Message:
    """As librdkafka has it."""

    def __init__(self, traceparent: str, *, topic: str = "resource.created", value: bytes) -> None:
        self._topic, self._value, self._traceparent = topic, value, traceparent

    def topic(self) -> str:
        return self._topic

    def key(self) -> bytes:
        return b"r"

    def value(self) -> bytes:
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        return [("event_id", new_id().encode()), ("traceparent", self._traceparent.encode())]


class Events:
    """In place of an inbox: a transaction."""

    async def process(self, records: Sequence[Record]) -> Tally:
        for name in ("BEGIN", "INSERT processed_events", "COMMIT"):
            with spans.step(name, "CLIENT", {}):
                await asyncio.sleep(0)
        return Tally(processed=list(records))


async def test_events_are_processed_in_the_traces_of_their_sending(traces: Spans) -> None:
    metrics = WorkerMetrics(CollectorRegistry())
    processor = EventProcessor(cast(Inbox, Events()), metrics, to_record)
    handler = in_traces(processor.process, "event-worker")
    good = b'{"id": "r"}'
    messages = [
        Message(CALLER, value=good),
        Message(caller(2), value=good),
        Message(caller(3), value=b"nonsense"),
    ]
    [bad] = await handler(messages)
    assert bad.message is messages[2]
    transaction = {"BEGIN": {}, "INSERT processed_events": {}, "COMMIT": {}}
    assert traces.tree() == {"process resource.created": transaction}
    first, second, third = traces.named("process resource.created")
    assert about(first)["messaging.consumer.group.name"] == "event-worker"
    assert links_of(traces.one("COMMIT")) == {span_of(second), span_of(third)}
    assert [one.status.status_code for one in (first, second, third)] == [
        *[StatusCode.UNSET] * 2,
        StatusCode.ERROR,
    ]


class Rows:
    """An effect, and in place of a connection."""

    async def apply(self, connection: object, records: Sequence[Record]) -> set[str]:
        with spans.step("INSERT rows", "CLIENT", {}):
            await asyncio.sleep(0)
        return {record.id for record in records}

    async def execute(self, *_: object) -> None: ...


def held(traceparent: str | None) -> Record:
    return Record(new_id(), "resource.updated", "r", 2, "{}", traceparent=traceparent)


async def test_an_effect_is_linked_to_the_sending_of_an_event_that_was_held_for_it(
    traces: Spans,
) -> None:
    rows = Rows()
    inbox = Inbox(cast(Any, None), rows, 600)
    waited = [held(caller(2)), held(None), held(caller(3, sampled=False))]
    decision = Decision(apply=waited, lift=waited)

    async def handler(_: Sequence[Any]) -> list[Any]:
        await inbox._write(cast(Any, rows), decision)
        return []

    await in_traces(handler, "g")([Message(CALLER, value=b"{}")])
    assert traces.tree() == {"process resource.created": {"INSERT rows": {}}}
    assert links_of(traces.one("INSERT rows")) == {f"{2:016x}"}
    traces.forget()
    await inbox._write(cast(Any, rows), decision)
    assert traces.tree(f"{2:032x}") == {"INSERT rows": {}}, "given up: in its own trace"


def test_a_handler_is_itself_where_no_spans_are_made() -> None:
    async def handler(_: Sequence[Any]) -> list[Any]:
        return []

    assert in_traces(handler, "g") is handler


def point(offset: int, traceparent: str, at: str = "2026-01-01T00:00:00Z") -> ConsumerRecord:
    body = {"device_id": "d", "metric": "m", "ts": at, "value": 1.0, "version": offset + 1}
    value, headers = json.dumps(body).encode(), (("traceparent", traceparent.encode()),)
    stamp = int(datetime.fromisoformat(at).timestamp() * 1000)
    return ConsumerRecord("telemetry.points", 0, offset, stamp, 0, b"d", value, None, 1, 1, headers)


class Sql:
    """In place of the writer to MySQL."""

    async def execute(self, statement: str, _args: object = None) -> int:
        with spans.step(" ".join(statement.split()[:3]), "CLIENT", {}):
            await asyncio.sleep(0)
        return 1


async def test_points_are_written_in_the_traces_of_their_sending(traces: Spans) -> None:
    metrics = AsyncMetrics(CollectorRegistry())
    processor = PointProcessor(PointStore(cast(Any, Sql()), metrics), metrics, lambda: None)
    handler = in_traces(processor.process, "async-writer")
    assert await handler([point(n, CALLER if n < 3 else caller(n)) for n in range(5)]) == []
    assert traces.tree() == {"process telemetry.points": {"INSERT INTO telemetry": {}}}
    assert len(traces.named("process telemetry.points")) == 3
    assert about(traces.named("process telemetry.points")[0])["messaging.batch.message_count"] == 3
    assert len(links_of(traces.one("INSERT INTO telemetry"))) == 2


async def test_rollups_are_written_in_the_traces_of_their_points(traces: Spans) -> None:
    settings = CpuWriterSettings(grace_seconds=0)
    metrics = CpuMetrics(CollectorRegistry())
    store = RollupStore(cast(Any, Sql()), settings.window_seconds)
    waiting = Waiting(Heartbeat(60), asyncio.Event())
    pool = Pool(1, metrics.pool_restarts)
    closer = Closer(pool, store, settings, metrics=metrics, waiting=waiting)
    place = TopicPartition("telemetry.points", 0)
    progress = Progress(0, 0, 0, settings.rule.window)
    owned = Owned(place, progress, Partition(settings.rule, progress), 0)
    records = [
        point(0, CALLER),
        point(1, caller(2)),
        point(2, caller(3), "2026-01-01T00:05:00Z"),  # of a window that stays open
    ]
    reading = Reading(records, "cpu-writer")
    stamps = [one.timestamp * 1000 for one in records]
    batch = Batch([b"d"] * 3, [one.value for one in records], range(3), stamps)
    owned.partition.take(parse(batch), 3, max(stamps))
    reading.end()
    owned.origins.note(reading)
    assert traces.tree() == {"process telemetry.points": {}}

    class OneMember:
        losses = 0
        writing = asyncio.Lock()
        owned: dict[TopicPartition, Owned]

        async def commit(self, _some: object) -> None: ...

    member = OneMember()
    member.owned = {place: owned}
    await closer.close_due(cast(Member, member))
    assert traces.tree() == {
        "process telemetry.points": {"roll up": {"INSERT INTO telemetry_rollups": {}}}
    }
    read = {trace_of(one): span_of(one) for one in traces.named("process telemetry.points")}
    assert links_of(traces.one("roll up")) == {read[f"{2:032x}"]}
    assert [f"{span.get_span_context().span_id:016x}" for span in owned.origins.take([])] == []


class Documents:
    """In place of what the stream's writer stands on."""

    async def write(self, entries: Sequence[Entry]) -> int:
        with spans.step("INSERT documents", "CLIENT", {}):
            await asyncio.sleep(0)
        return len(entries)

    async def settle(self, *_: object, **__: object) -> None:
        with spans.step("EVALSHA", "CLIENT", {}):
            await asyncio.sleep(0)

    async def renew(self) -> None: ...

    def take(self, *_: object) -> None: ...


async def test_documents_are_stored_and_settled_in_the_traces_of_their_sending(
    traces: Spans,
) -> None:
    metrics, parts = StreamMetrics(CollectorRegistry()), cast(Any, Documents())
    writer = Writer(
        parts,
        parts,
        parts,
        parts,
        most=100,
        usual=100,
        copies_stay=0,
        patience=Patience(asyncio.Event(), Heartbeat(60), metrics),
        metrics=metrics,
    )
    deliveries = [
        Delivery(f"{n}-0", {b"id": b"%d" % n, b"doc": b"{}", b"tp": traceparent})
        for n, traceparent in enumerate((CALLER.encode(), caller(2).encode(), b"\xff"))
    ]
    await writer.write(deliveries, has_turn=True)
    tree = {"process data:stream": {"INSERT documents": {}, "EVALSHA": {}}}
    assert traces.tree() == tree
    first, second = traces.named("process data:stream")
    assert about(first)["messaging.system"] == "redis"
    assert links_of(traces.one("INSERT documents")) == {span_of(second)}
