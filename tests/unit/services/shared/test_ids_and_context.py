"""Identifiers sort by time and fall into lanes; trace headers are believed only when valid."""

import zlib

import pytest

from services.contracts.ids import is_uuid7, new_id
from services.shared.outbox.lanes import LANES, lane_of
from services.shared.runtime.context import TraceContext, accept_correlation_id, continue_trace

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_new_ids_are_uuid7_and_sort_in_the_order_they_were_made() -> None:
    ids = [new_id() for _ in range(1000)]
    assert all(is_uuid7(one) for one in ids)
    assert ids == sorted(ids)
    assert len(set(ids)) == 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "01a1fb67-1800-4000-8000-000000000000",
        "01a1fb67-1800-7000-c000-000000000000",
        "01A1FB67-1800-7000-8000-000000000000",
        "01a1fb6718007000800000000000 0000",
        "01a1fb67-1800-7000-8000-000000000000\n",
        "{01a1fb67-1800-7000-8000-000000000000}",
        "\u06601a1fb67-1800-7000-8000-000000000000",
    ],
)
def test_anything_but_a_canonical_uuid7_is_refused(text: str) -> None:
    assert not is_uuid7(text)


def test_lanes_are_crc32_modulo_64_and_all_get_used() -> None:
    ids = [new_id() for _ in range(5000)]
    assert all(lane_of(one) == zlib.crc32(one.encode()) % 64 for one in ids)
    assert {lane_of(one) for one in ids} == set(range(LANES))


def test_a_callers_trace_is_continued_with_a_span_of_our_own() -> None:
    ours = continue_trace(f"00-{TRACE}-{SPAN}-00")
    assert (ours.trace_id, ours.sampled) == (TRACE, False)
    assert ours.span_id != SPAN
    assert TraceContext.parse(ours.traceparent) == ours


def test_a_future_version_with_more_fields_is_understood() -> None:
    assert TraceContext.parse(f"cc-{TRACE}-{SPAN}-01-what-ever") == TraceContext(TRACE, SPAN, True)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "garbage",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
    ],
)
def test_an_invalid_trace_header_starts_a_new_trace(header: str | None) -> None:
    assert TraceContext.parse(header) is None
    assert TraceContext.parse(continue_trace(header).traceparent) is not None


@pytest.mark.parametrize("given", [None, "", "a b", "a\nb", 'a"b', "x" * 101, "ü"])
def test_a_correlation_id_that_could_do_harm_is_replaced(given: str | None) -> None:
    assert is_uuid7(accept_correlation_id(given))


def test_a_harmless_correlation_id_is_kept() -> None:
    assert accept_correlation_id("order-4711:a.b_c") == "order-4711:a.b_c"
