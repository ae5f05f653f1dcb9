"""The ledger tells a sound platform from one that loses, repeats, reorders or invents events."""

import dataclasses
from itertools import count

import pytest

from loadtests.ledger import EVENT_TYPES, Ledger, Processed, Write
from loadtests.outcome import Outcome
from services.contracts.topics import RESOURCE_CREATED


def life_cycle(ledger: Ledger, resource: str, updates: int = 2) -> list[Write]:
    """A create, updates and a delete, all acknowledged with their versions."""
    kinds = ["create", *["update"] * updates, "delete"]
    return [
        ledger.sent(
            Write(
                kind,
                marker=f"{resource}-{version}-{kind}",
                resource_id=resource,
                sent_at=100.0 + version,
                outcome=Outcome.ACKED,
                version=version,
            )
        )
        for version, kind in enumerate(kinds, start=1)
    ]


def rows_for(writes: list[Write]) -> list[Processed]:
    """The rows that a faultless platform stores for these writes."""
    versions: dict[str | None, count[int]] = {}
    return [
        Processed(
            seq=seq,
            event_id=f"event-{write.marker}",
            event_type=EVENT_TYPES[write.kind],
            resource_id=write.resource_id or f"made-for-{write.marker}",
            version=next(versions.setdefault(write.resource_id, count(1))),
            marker=None if write.kind == "delete" else write.marker,
            processed_at=write.sent_at + 0.25,
        )
        for seq, write in enumerate(writes, start=1)
    ]


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    life_cycle(ledger, "a")
    life_cycle(ledger, "b")
    return ledger


def test_a_faultless_run_has_no_faults_and_a_latency_for_each_create(ledger: Ledger) -> None:
    verdict = ledger.check(rows_for(ledger.writes))
    assert verdict.faults == {}
    assert (verdict.acked, verdict.arrived) == (8, 8)
    assert verdict.latencies == pytest.approx([0.25, 0.25])


def test_resources_may_interleave_in_any_way(ledger: Ledger) -> None:
    rows = rows_for(ledger.writes)
    mixed = [dataclasses.replace(row, seq=seq) for seq, row in enumerate([*rows[4:], *rows[:4]], 1)]
    assert ledger.check(mixed).faults == {}


@pytest.mark.parametrize("gone", range(8))
def test_any_acknowledged_write_without_a_row_is_lost(ledger: Ledger, gone: int) -> None:
    rows = [row for at, row in enumerate(rows_for(ledger.writes)) if at != gone]
    assert ledger.missing(rows) == 1
    assert len(ledger.check(rows).lost) == 1


def test_the_same_event_id_twice_is_a_duplicate(ledger: Ledger) -> None:
    rows = rows_for(ledger.writes)
    verdict = ledger.check([*rows, dataclasses.replace(rows[0], seq=99)])
    assert "processed twice" in verdict.faults


def test_one_write_under_two_event_ids_is_a_duplicate(ledger: Ledger) -> None:
    rows = rows_for(ledger.writes)
    again = dataclasses.replace(rows[3], seq=99, event_id="another", version=5)
    assert "processed twice" in ledger.check([*rows, again]).faults


def test_two_events_of_a_resource_that_changed_places_are_out_of_order(ledger: Ledger) -> None:
    rows = rows_for(ledger.writes)
    rows[1], rows[2] = (
        dataclasses.replace(rows[1], seq=rows[2].seq),
        dataclasses.replace(rows[2], seq=rows[1].seq),
    )
    verdict = ledger.check(rows)
    assert set(verdict.faults) == {"out of order"}
    assert "versions [1, 3, 2, 4]" in verdict.explain()


def test_renumbered_versions_do_not_hide_a_reordering(ledger: Ledger) -> None:
    """The payloads tell the order of writing even if versions were given out by arrival."""
    for write in ledger.writes:
        write.version = None
    rows = rows_for(ledger.writes)
    rows[1], rows[2] = (
        dataclasses.replace(rows[1], seq=rows[2].seq, version=3),
        dataclasses.replace(rows[2], seq=rows[1].seq, version=2),
    )
    assert "another order than written" in ledger.check(rows).explain()


def test_a_gap_in_the_versions_is_out_of_order(ledger: Ledger) -> None:
    rows = [row for row in rows_for(ledger.writes) if row.version != 2]
    assert set(ledger.check(rows).faults) == {"lost", "out of order"}


def test_a_version_other_than_the_acknowledged_one_is_a_fault(ledger: Ledger) -> None:
    ledger.writes[0].version = 7
    assert "acknowledged as version 7" in ledger.check(rows_for(ledger.writes)).explain()


def test_a_refused_write_must_not_be_visible(ledger: Ledger) -> None:
    rows = rows_for(ledger.writes)
    ledger.writes[-1].outcome = Outcome.REFUSED
    ledger.writes[-1].answer = "409"
    verdict = ledger.check(rows)
    assert set(verdict.faults) == {"never written"}
    assert "refused (409)" in verdict.explain()
    assert ledger.check(rows[:-1]).faults == {}


def test_an_unknown_outcome_may_be_visible_or_not(ledger: Ledger) -> None:
    rows = rows_for(ledger.writes)
    ledger.writes[-1].outcome = Outcome.UNKNOWN
    arrived = ledger.check(rows)
    assert arrived.faults == {}
    assert len(arrived.arrived_unacked) == 1
    absent = ledger.check(rows[:-1])
    assert absent.faults == {}
    assert absent.arrived_unacked == []


def test_an_unanswered_create_is_recognised_by_its_marker_under_any_id() -> None:
    ledger = Ledger()
    ledger.sent(Write("create", "lost-answer", None, sent_at=1.0))
    assert ledger.check(rows_for(ledger.writes)).faults == {}
    assert ledger.check([]).faults == {}


def test_an_unknown_write_that_arrived_twice_is_still_a_duplicate() -> None:
    ledger = Ledger()
    ledger.sent(Write("create", "lost-answer", None, sent_at=1.0))
    (row,) = rows_for(ledger.writes)
    again = dataclasses.replace(row, seq=2, event_id="another", resource_id="another")
    assert "processed twice" in ledger.check([row, again]).faults


def test_a_row_that_no_write_explains_is_a_phantom(ledger: Ledger) -> None:
    rows = rows_for(ledger.writes)
    stranger = dataclasses.replace(rows[1], seq=50, event_id="x", marker="nobody-wrote-this")
    assert "never written" in ledger.check([*rows, stranger]).faults


def test_an_event_of_the_wrong_type_is_a_phantom(ledger: Ledger) -> None:
    rows = rows_for(ledger.writes)
    rows[1] = dataclasses.replace(rows[1], event_type=RESOURCE_CREATED)
    assert "arrived as resource.created" in ledger.check(rows).explain()


def test_a_marker_cannot_be_used_twice(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="a-1-create"):
        ledger.sent(Write("update", "a-1-create", "a", sent_at=1.0))


def test_the_explanation_is_short_however_much_went_wrong() -> None:
    ledger = Ledger()
    for number in range(300):
        life_cycle(ledger, f"r{number}")
    explained = ledger.check([]).explain(most=2)
    assert explained.startswith("1200 lost: create r0-1-create of r0")
    assert explained.endswith("and 1198 more")
