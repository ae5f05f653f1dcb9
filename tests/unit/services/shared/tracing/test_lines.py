"""What goes well in a recorded trace is in the log, as long as that is not much."""

import json
from collections.abc import Callable, Iterator

import pytest
from structlog.testing import CapturingLogger

from services.shared.http import books
from services.shared.http.books import Books
from services.shared.runtime.metrics import HttpMetrics, new_registry
from services.shared.tracing import lines
from services.shared.tracing.lines import Allowance
from services.shared.tracing.processing import Came, processing
from tests.harness.traces import CALLER, TRACE, Spans, caller, recording, span_of

CAME = Came("data:stream", CALLER)
Said = Callable[[], list[dict[str, object]]]


@pytest.fixture
def traces() -> Iterator[Spans]:
    with recording() as spans:
        yield spans


@pytest.fixture
def allowance(monkeypatch: pytest.MonkeyPatch) -> Allowance:
    made = Allowance(clock=lambda: 0.0)
    monkeypatch.setattr(lines, "_allowance", made)
    return made


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, allowance: Allowance) -> Said:
    log = CapturingLogger()
    monkeypatch.setattr(lines, "log", log)
    monkeypatch.setattr(books, "log", log)
    return lambda: [{"event": call.args[0], **call.kwargs} for call in log.calls]


def test_so_many_at_once_and_then_so_many_a_second():
    now = [0.0]
    allowance = Allowance(each_second=2, at_once=3, clock=lambda: now[0])
    assert [allowance.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 0.5
    assert [allowance.take() for _ in range(2)] == [True, False]
    now[0] = 1000.0
    assert [allowance.take() for _ in range(4)] == [True, True, True, False]


def test_a_processed_message_is_told_with_the_ids_of_its_own_span(traces: Spans, said: Said):
    with processing("redis", [CAME, Came("data:stream", caller(7))], {}):
        pass
    told = said()
    assert [(one["event"], one["what"]) for one in told] == [("processed", "data:stream")] * 2
    assert [one["trace_id"] for one in told] == [TRACE, f"{7:032x}"]
    assert told[0]["span_id"] == span_of(traces.all[0])


def test_what_failed_is_told_by_its_kind(traces: Spans, said: Said):
    with pytest.raises(RuntimeError), processing("redis", [CAME], {}):
        raise RuntimeError("hush")
    [line] = said()
    assert (line["event"], line["error"], line["trace_id"]) == (
        "not_processed", "RuntimeError", TRACE,
    )  # fmt: skip
    assert "hush" not in json.dumps(line)


def test_a_dead_letter_is_not_told_as_processed(traces: Spans, said: Said):
    with processing("redis", [CAME], {}) as made:
        made.refuse(CAME)
    assert said() == []


def test_a_message_that_is_not_recorded_is_not_told(traces: Spans, said: Said):
    with processing("redis", [Came("x", caller(7, sampled=False)), Came("x", None)], {}):
        pass
    assert said() == []


def test_without_spans_nothing_is_told(said: Said):
    with processing("redis", [CAME], {}):
        pass
    assert said() == []


def test_a_busy_service_tells_few(traces: Spans, said: Said):
    for number in range(1, 200):
        with processing("redis", [Came("x", caller(number))], {}):
            pass
    assert len(said()) == lines.AT_ONCE


@pytest.mark.parametrize(
    ("recorded", "route", "told"), [(True, "/a", 1), (True, "/ready", 0), (False, "/a", 0)]
)
def test_a_request_that_went_well_is_told_if_it_is_recorded(
    traces: Spans, said: Said, recorded: bool, route: str, told: int
):
    noting = Books(HttpMetrics(new_registry()), log_all=False)
    with processing("http", [CAME] if recorded else [], {}):
        noting.note("GET", route, route, 200, 0.01)
        assert len(said()) == told
