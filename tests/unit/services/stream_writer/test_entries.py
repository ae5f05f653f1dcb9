"""What a batch of entries comes down to."""

from __future__ import annotations

import itertools

import pytest

from services.stream_writer.entries import (
    BadEntryError,
    Delivery,
    Entry,
    by_document,
    part,
    to_entry,
    version_of,
)


def entry(key: str, document_id: str = "a", document: str = "{}") -> Entry:
    return Entry(key, document_id, document, version_of(key))


def test_an_entry_is_a_document_and_its_place_in_the_stream():
    fields = {b"id": b"a", b"doc": '{"name": "ä"}'.encode(), b"cid": b"c-1", b"tp": b"00-1-2-01"}
    made = to_entry(Delivery("17-3", fields, 2))
    assert made == Entry("17-3", "a", '{"name": "ä"}', (17, 3), 2, "c-1", b"00-1-2-01")


def test_a_replayed_entry_is_as_old_as_what_it_repeats():
    made = to_entry(Delivery("17-3", {b"id": b"a", b"doc": b"{}", b"entry": b"5-1"}))
    assert (made.key, made.version) == ("17-3", (5, 1))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "without id and doc"),
        ({b"id": b"a"}, "without doc"),
        ({b"id": b"", b"doc": b"{}"}, "without id"),
        ({b"id": b"a", b"doc": b'"\xff"'}, "not UTF-8: invalid start byte at byte 1"),
        ({b"id": b"a", b"doc": b"{}", b"entry": b"yesterday"}, "'yesterday' is no id"),
        ({b"id": b"a", b"doc": b"{}", b"entry": b"9223372036854775808-0"}, "is no id"),
    ],
)
def test_an_entry_that_holds_no_document_is_told_from_one_that_does(
    fields: dict[bytes, bytes], reason: str
):
    with pytest.raises(BadEntryError, match=reason):
        to_entry(Delivery("17-3", fields))


def test_the_newest_entry_of_a_document_wins_in_whatever_order_they_come():
    entries = [entry("9-1"), entry("10-0"), entry("10-2"), entry("10-10")]
    for order in itertools.permutations(entries):
        [versions] = by_document(order)
        assert [one.key for one in versions] == ["10-10", "10-2", "10-0", "9-1"]


def test_documents_are_written_in_the_order_of_their_ids_by_everybody():
    entries = [entry("1-0", "b"), entry("2-0", "c"), entry("3-0", "a"), entry("4-0", "b")]
    documents = by_document(entries)
    assert [[one.key for one in versions] for versions in documents] == [
        ["3-0"],
        ["4-0", "1-0"],
        ["2-0"],
    ]


def test_an_entry_that_comes_twice_counts_once():
    [versions] = by_document([entry("1-0"), entry("1-0")])
    assert len(versions) == 1


def test_a_statement_carries_so_many_documents_and_characters_and_one_at_least():
    documents = by_document([entry("1-0", name, "x" * 10) for name in "abcd"])
    assert len(part(documents, 100, 1000)) == 4
    assert len(part(documents, 3, 1000)) == 3
    assert len(part(documents, 100, 29)) == 2
    assert len(part(documents, 100, 30)) == 3
    assert len(part(documents, 100, 1)) == 1
