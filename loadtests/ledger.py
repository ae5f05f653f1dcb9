"""The ledger of a write stream, and the check that every event arrived exactly once, in order.

The idea is Jepsen's: every write carries a unique value (its *marker*), and its outcome has one of
three classes. ``ACKED``: the server said yes. ``REFUSED``: it certainly did not happen (4xx, or the
connection was never made). ``UNKNOWN``: nobody can say (timeout, 5xx, connection lost on the way),
so both outcomes are allowed. Then what the event worker stored is compared with the ledger.

Nothing here talks to a network: tests and callers bring the writes and the rows.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from loadtests.outcome import Outcome
from services.contracts.topics import RESOURCE_CREATED, RESOURCE_DELETED, RESOURCE_UPDATED

EVENT_TYPES = {
    "create": RESOURCE_CREATED,
    "update": RESOURCE_UPDATED,
    "delete": RESOURCE_DELETED,
}


@dataclass
class Write:
    """One request that was sent.

    ``marker`` is unique in the ledger and travels in the payload (a delete's payload has no room
    for it, so a delete is recognised by its resource). ``resource_id`` is None for a create whose
    answer never came. ``version`` is what the acknowledgement said, None where it said nothing.
    Times are seconds of the Unix epoch on the client's clock.
    """

    kind: str
    marker: str
    resource_id: str | None
    sent_at: float
    outcome: Outcome = Outcome.UNKNOWN
    version: int | None = None
    answered_at: float | None = None
    answer: str = ""


@dataclass(frozen=True)
class Processed:
    """One row of ``workerdb.processed_events``; ``marker`` is None for a delete."""

    seq: int
    event_id: str
    event_type: str
    resource_id: str
    version: int
    marker: str | None
    processed_at: float


@dataclass
class Verdict:
    """What the comparison found; every list but ``arrived_unacked`` is empty on a sound platform.

    ``latencies`` holds seconds from sending a create to its row in processed_events,
    one for each acknowledged create that arrived.
    """

    acked: int = 0
    arrived: int = 0
    lost: list[str] = field(default_factory=list[str])
    duplicated: list[str] = field(default_factory=list[str])
    reordered: list[str] = field(default_factory=list[str])
    phantom: list[str] = field(default_factory=list[str])
    arrived_unacked: list[str] = field(default_factory=list[str])
    latencies: list[float] = field(default_factory=list[float])

    @property
    def faults(self) -> dict[str, list[str]]:
        """The kinds of trouble found, each with its cases."""
        found = {
            "lost": self.lost,
            "processed twice": self.duplicated,
            "out of order": self.reordered,
            "never written": self.phantom,
        }
        return {what: cases for what, cases in found.items() if cases}

    def explain(self, most: int = 5) -> str:
        """One line per kind of trouble, with the first ``most`` cases; empty if there is none."""
        lines: list[str] = []
        for what, cases in self.faults.items():
            more = f" and {len(cases) - most} more" if len(cases) > most else ""
            lines.append(f"{len(cases)} {what}: {'; '.join(cases[:most])}{more}")
        return "\n".join(lines)


class Ledger:
    """The record of every write of one run; writes to one resource are appended in sending order.

    The order check rests on that: a client sends the next write to a resource only after the
    answer to the one before, and stops writing to it once an outcome is unknown.
    """

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self._markers: set[str] = set()

    def sent(self, write: Write) -> Write:
        """Note a write before it is sent, so that nothing can be on its way unrecorded.

        Raises:
            ValueError: the marker was used before; two writes could not be told apart.
        """
        if write.kind not in EVENT_TYPES:
            raise ValueError(f"kind is {write.kind!r}; it must be one of {sorted(EVENT_TYPES)}")
        if write.marker in self._markers:
            raise ValueError(f"marker {write.marker!r} is used twice; every write needs its own")
        self._markers.add(write.marker)
        self.writes.append(write)
        return write

    def counts(self) -> dict[Outcome, int]:
        """How many writes there are of each outcome (every outcome is a key)."""
        counted = Counter(write.outcome for write in self.writes)
        return {outcome: counted[outcome] for outcome in Outcome}

    def acked(self) -> list[Write]:
        """The acknowledged writes, in sending order."""
        return [write for write in self.writes if write.outcome is Outcome.ACKED]

    def missing(self, rows: Iterable[Processed]) -> int:
        """How many acknowledged writes have no row yet (cheap; for a polling loop)."""
        seen = {_key(row) for row in rows}
        return sum(_write_key(write) not in seen for write in self.acked())

    def check(self, rows: Sequence[Processed]) -> Verdict:
        """Compare with all rows that belong to this run, in any order."""
        rows = sorted(rows, key=lambda row: row.seq)
        verdict = Verdict(arrived=len(rows))
        _check_duplicates(rows, verdict)
        by_key = {_write_key(write): write for write in self.writes if write.resource_id}
        by_marker = {write.marker: write for write in self.writes}
        position = {write.marker: at for at, write in enumerate(self.writes)}
        matched: dict[str, list[Processed]] = defaultdict(list)
        streams: dict[str, list[tuple[Processed, Write | None]]] = defaultdict(list)
        for row in rows:
            write = by_key.get(_key(row)) or _unanswered(by_marker, row)
            streams[row.resource_id].append((row, write))
            if write is None:
                verdict.phantom.append(f"{_name(row)} matches no write of this run")
            else:
                matched[write.marker].append(row)
        for write in self.writes:
            _check_outcome(write, matched[write.marker], verdict)
        for stream in streams.values():
            _check_order(stream, position, verdict)
        return verdict


def _key(row: Processed) -> tuple[str, str]:
    """What identifies a write from its event: the resource and the marker, or that it is gone."""
    return row.resource_id, row.marker if row.marker is not None else row.event_type


def _write_key(write: Write) -> tuple[str | None, str]:
    marker = write.marker if write.kind != "delete" else EVENT_TYPES["delete"]
    return write.resource_id, marker


def _unanswered(by_marker: dict[str, Write], row: Processed) -> Write | None:
    """The create whose answer, and with it the resource's id, never reached the client."""
    write = by_marker.get(row.marker) if row.marker is not None else None
    return write if write is not None and write.resource_id is None else None


def _name(row: Processed) -> str:
    return f"{row.event_type} version {row.version} of {row.resource_id} (seq {row.seq})"


def _check_duplicates(rows: Sequence[Processed], verdict: Verdict) -> None:
    ids = Counter(row.event_id for row in rows)
    verdict.duplicated += [f"event id {event} has {n} rows" for event, n in ids.items() if n > 1]


def _check_outcome(write: Write, rows: list[Processed], verdict: Verdict) -> None:
    what = f"{write.kind} {write.marker} of {write.resource_id or 'a resource without an answer'}"
    if len({row.event_id for row in rows}) > 1:
        verdict.duplicated.append(f"{what} has {len(rows)} events")
    for row in rows:
        if row.event_type != EVENT_TYPES[write.kind]:
            verdict.phantom.append(f"{what} arrived as {row.event_type} (seq {row.seq})")
    if write.outcome is Outcome.ACKED:
        verdict.acked += 1
        if not rows:
            verdict.lost.append(f"{what}, answered {write.answer or 'yes'}")
            return
        if write.version is not None and rows[0].version != write.version:
            verdict.reordered.append(
                f"{what} was acknowledged as version {write.version} "
                f"and arrived as version {rows[0].version}"
            )
        if write.kind == "create":
            verdict.latencies.append(rows[0].processed_at - write.sent_at)
    elif rows and write.outcome is Outcome.REFUSED:
        verdict.phantom.append(f"{what} was refused ({write.answer}) and arrived all the same")
    elif rows:
        verdict.arrived_unacked.append(what)


def _check_order(
    stream: list[tuple[Processed, Write | None]], position: dict[str, int], verdict: Verdict
) -> None:
    """One resource's rows by seq: versions run 1, 2, … n, and follow the order of sending."""
    for expected, (row, _) in enumerate(stream, start=1):
        if row.version != expected:
            versions = [row.version for row, _ in stream]
            verdict.reordered.append(
                f"{row.resource_id} was processed as versions {versions[:12]}, "
                f"expected {expected} at seq {row.seq}"
            )
            break
    sending = [position[write.marker] for _, write in stream if write is not None]
    if sending != sorted(sending):
        resource = stream[0][0].resource_id
        verdict.reordered.append(f"{resource} was processed in another order than written")
