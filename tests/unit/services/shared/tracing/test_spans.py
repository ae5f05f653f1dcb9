"""Whose spans are made, what they say, and what is done once for many."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest
from opentelemetry.trace import SpanKind, StatusCode
from pymysql import err
from structlog.testing import capture_logs

from services.shared.kafka.dead_letters import BadMessage, tell
from services.shared.runtime import context
from services.shared.runtime.context import TraceContext
from services.shared.runtime.once import Once
from services.shared.runtime.together import Together
from services.shared.tracing import spans
from services.shared.tracing.processing import Came, Processing, processing
from tests.harness.traces import (
    CALLER,
    SPAN,
    TRACE,
    Spans,
    about,
    caller,
    links_of,
    parent_of,
    recording,
    span_of,
    trace_of,
)

FAILED = StatusCode.ERROR


def test_without_a_collector_no_span_is_made_and_no_new_trace_is_sampled() -> None:
    trace, span = spans.server(None, quiet=False)
    assert (trace.sampled, span) == (False, None)
    trace, span = spans.server(CALLER, quiet=False)
    assert (trace.trace_id, trace.sampled, span) == (TRACE, True, None)
    assert spans.recorded(CALLER) is None
    with spans.step("anything", "CLIENT", {}) as step:
        assert step is None


def test_the_share_of_new_traces_is_sampled_and_a_caller_decides_for_its_own() -> None:
    with recording(sampling=0.25):
        sampled = sum(TraceContext.new().sampled for _ in range(4000))
        assert 800 < sampled < 1200
        assert spans.server(caller(1, sampled=False), quiet=False)[1] is None
        assert spans.server(caller(1), quiet=False)[1] is not None
    with recording(sampling=0):
        assert not any(spans.server(None, quiet=False)[1] for _ in range(100))
    with recording(sampling=1):
        assert all(spans.server(None, quiet=False)[1] for _ in range(100))
        assert spans.server(None, quiet=True)[1] is None
        assert spans.server(CALLER, quiet=True)[1] is not None


def test_a_request_is_below_its_caller_and_passes_itself_on(traces: Spans) -> None:
    trace, span = spans.server(CALLER, quiet=False)
    assert span is not None
    spans.answered(span, "GET", "/things/{id}", 200, {"url.path": "/things/7"})
    [made] = traces.all
    assert (made.name, made.kind) == ("GET /things/{id}", SpanKind.SERVER)
    assert (trace_of(made), parent_of(made), span_of(made)) == (TRACE, SPAN, trace.span_id)
    assert about(made) == {
        "http.request.method": "GET",
        "http.route": "/things/{id}",
        "http.response.status_code": 200,
        "url.path": "/things/7",
        "millrace.asked_for": True,
    }
    assert made.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(("status", "failed"), [(404, False), (499, False), (500, True)])
def test_a_request_failed_when_it_was_our_fault(traces: Spans, status: int, failed: bool) -> None:
    _, span = spans.server(CALLER, quiet=False)
    assert span is not None
    spans.answered(span, "GET", "/", status, {})
    [made] = traces.all
    assert (made.status.status_code is FAILED) is failed
    assert about(made).get("error.type") == (str(status) if failed else None)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (asyncpg.UniqueViolationError("Key (secret)=(hush) exists"), "UniqueViolationError", 23505),
        (err.DataError(1264, "Out of range: hush"), "DataError", 1264),
        (ValueError("hush"), "ValueError", None),
        (asyncio.CancelledError(), "CancelledError", None),
    ],
)
def test_a_step_that_fails_says_the_kind_of_error_and_never_its_text(
    traces: Spans, error: BaseException, kind: str, code: int | None
) -> None:
    def fail() -> None:
        with spans.step("INSERT things", "CLIENT", {}):
            raise error

    with serving(CALLER), pytest.raises(type(error)):
        fail()
    made = traces.one("INSERT things")
    assert made.status.status_code is FAILED
    assert made.status.description is None
    assert made.events == ()
    assert about(made)["error.type"] == kind
    assert about(made).get("db.response.status_code") == (None if code is None else str(code))
    assert "hush" not in made.to_json()


def test_a_step_within_a_step_is_below_it_and_what_comes_after_is_not(traces: Spans) -> None:
    with serving(CALLER):
        with (
            spans.step("outer", "INTERNAL", {}),
            spans.step("inner", "CLIENT", {}),
        ):
            pass
        with spans.step("after", "CLIENT", {}):
            pass
    assert traces.tree() == {"outer": {"inner": {}}, "after": {}}


def test_what_is_sent_passes_the_sending_on(traces: Spans) -> None:
    with serving(CALLER), spans.sending("kafka", "things", 3) as span:
        on = TraceContext.parse(spans.passed_on(span, CALLER))
    made = traces.one("send things")
    assert on == TraceContext(TRACE, span_of(made), True)
    assert made.kind is SpanKind.PRODUCER
    assert about(made) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "things",
        "messaging.batch.message_count": 3,
    }
    with spans.sending("kafka", "things", 3) as none:
        assert spans.passed_on(none, "as it came") == "as it came"


def test_a_batch_has_a_span_for_each_origin_that_is_recorded(traces: Spans) -> None:
    came = [
        Came("a", caller(1)),
        Came("a", caller(2).encode()),
        Came("b", caller(1)),
        Came("a", caller(1)),
        Came("a", caller(3, sampled=False)),
        Came("a", None),
        Came("a", "no traceparent"),
        Came("a", b"\xff"),
    ]
    with (
        processing("kafka", came, {"messaging.consumer.group.name": "g"}) as batch,
        spans.step("UPDATE x", "CLIENT", {}),
    ):
        batch.refuse(Came("b", caller(1)))
    made = [one for one in traces.all if one.kind is SpanKind.CONSUMER]
    counted = {
        (one.name, trace_of(one)[-1]): about(one)["messaging.batch.message_count"] for one in made
    }
    assert counted == {("process a", "1"): 2, ("process a", "2"): 1, ("process b", "1"): 1}
    first, *others = made
    assert links_of(first) == set()
    assert all(links_of(one) == {span_of(first)} for one in others)
    once = traces.one("UPDATE x")
    assert parent_of(once) == span_of(first)
    assert links_of(once) == {span_of(one) for one in others}
    assert [one.name for one in made if one.status.status_code is FAILED] == ["process b"]


def test_a_batch_that_fails_failed_for_all_its_origins(traces: Spans) -> None:
    def fail() -> None:
        with processing("kafka", [Came("a", caller(n)) for n in (1, 2)], {}):
            raise ConnectionError

    with pytest.raises(ConnectionError):
        fail()
    assert [about(one)["error.type"] for one in traces.all] == ["ConnectionError"] * 2


def test_lines_logged_within_a_batch_name_nobody(traces: Spans) -> None:
    with processing("kafka", [Came("a", caller(1))], {}):
        assert context.add_ids(None, "info", {}) == {}
        assert spans.exemplar() == {"trace_id": f"{1:032x}"}
    assert spans.exemplar() is None
    assert traces.all


async def test_a_call_for_several_is_below_the_first_and_links_to_the_others(
    traces: Spans,
) -> None:
    async def call(questions: Sequence[int]) -> list[int]:
        with spans.step("EVALSHA", "CLIENT", {}):
            await asyncio.sleep(0)
        return [-one for one in questions]

    together = Together(call, lanes=1, most=10, patience=60)

    async def ask(number: int) -> tuple[int, str | None]:
        trace, span = spans.server(caller(number, sampled=number != 3), quiet=False)
        context.bind(None, trace, span)
        answer = await together.ask(number)
        if span is not None:
            span.end()
        return answer, trace.span_id

    answers = await asyncio.gather(*(asyncio.create_task(ask(n)) for n in (3, 1, 2)))
    assert [answer for answer, _ in answers] == [-3, -1, -2]
    call_span = traces.one("EVALSHA")
    assert parent_of(call_span) == answers[1][1]
    assert links_of(call_span) == {answers[2][1]}


async def test_what_is_loaded_once_is_in_the_trace_of_who_came_first(traces: Spans) -> None:
    async def load(key: str) -> str:
        assert context.add_ids(None, "info", {}) == {}
        with spans.step(f"load {key}", "CLIENT", {}):
            await asyncio.sleep(0)
        return key

    once = Once(load)

    async def want(number: int) -> str:
        context.bind("c", *spans.server(caller(number), quiet=False))
        return await once.get("it")

    await asyncio.gather(*(asyncio.create_task(want(n)) for n in (1, 2)))
    assert trace_of(traces.one("load it")) == f"{1:032x}"


def test_a_line_about_one_message_of_many_has_the_ids_that_came_with_it() -> None:
    assert context.ids_in(CALLER) == {"trace_id": TRACE, "span_id": SPAN}
    assert context.ids_in(CALLER.encode()) == {"trace_id": TRACE, "span_id": SPAN}
    for nothing in (None, "", b"\xff", "nonsense"):
        assert context.ids_in(nothing) == {}

    class Message:
        def headers(self) -> list[tuple[str, bytes]]:
            return [("traceparent", CALLER.encode()), ("correlation_id", b"mine")]

        def topic(self) -> str:
            return "t"

        partition = offset = lambda _: 7

    with capture_logs() as lines:
        tell(BadMessage(Message(), "a reason"))
    assert (
        lines[0].items()
        >= {
            "event": "dead_letter",
            "correlation_id": "mine",
            "trace_id": TRACE,
            "span_id": SPAN,
        }.items()
    )


def test_no_more_links_than_a_span_can_have(traces: Spans) -> None:
    came = [Came("a", caller(n)) for n in range(1, 500)]
    with processing("kafka", came, {}), spans.step("INSERT", "CLIENT", {}):
        pass
    assert len(traces.one("INSERT").links) == 100
    many = [Came("a", caller(n)) for n in range(1, 2000)]
    assert len(Processing("kafka", many, {}).spans) == 1000


def test_what_came_before_and_is_done_only_now_is_linked_or_has_the_step_in_its_own_trace(
    traces: Spans,
) -> None:
    earlier = [caller(2), None, caller(3, sampled=False), "nonsense"]
    with processing("kafka", [Came("a", CALLER)], {}), spans.also_of(earlier):
        with spans.step("INSERT", "CLIENT", {}):
            pass
        with spans.also_of([]), spans.step("UPDATE", "CLIENT", {}):
            pass
    assert trace_of(traces.one("INSERT")) == TRACE
    for made in ("INSERT", "UPDATE"):
        assert links_of(traces.one(made)) == {f"{2:016x}"}
    with spans.also_of(earlier), spans.step("DELETE", "CLIENT", {}):
        pass
    assert parent_of(traces.one("DELETE")) == f"{2:016x}"


class serving:  # noqa: N801 - a block
    """Work for a request of `traceparent`."""

    def __init__(self, traceparent: str) -> None:
        self._traceparent = traceparent

    def __enter__(self) -> None:
        context.bind("c", *spans.server(self._traceparent, quiet=False))

    def __exit__(self, *_: object) -> None:
        context.unbind()
