"""What became of the records of a transaction."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.shared.inbox.records import Record
from services.shared.inbox.sequencing import Decision


@dataclass(slots=True)
class Tally:
    """Records by what became of them. processed and late: they had their effect now."""

    processed: list[Record] = field(default_factory=list[Record])
    late: list[Record] = field(default_factory=list[Record])
    duplicate: list[Record] = field(default_factory=list[Record])
    held: list[Record] = field(default_factory=list[Record])
    gaps: int = 0

    def add(self, other: Tally) -> None:
        """Count what a further transaction did."""
        for name, records in other.by_name().items():
            self.by_name()[name].extend(records)
        self.gaps += other.gaps

    def __bool__(self) -> bool:
        return any(self.by_name().values())

    def by_name(self) -> dict[str, list[Record]]:
        """The lists by the value of the metric's label."""
        return {
            "processed": self.processed,
            "late": self.late,
            "duplicate": self.duplicate,
            "held": self.held,
        }


def tally_of(decision: Decision, new: set[str]) -> Tally:
    """`new`: ids of those applied that had no effect before."""
    tally = Tally(held=decision.hold, duplicate=list(decision.repeats), gaps=decision.gaps)
    unseen = set(new)
    for record in decision.apply:
        if record.id not in unseen:
            tally.duplicate.append(record)
            continue
        # Once only: the same message twice in a batch is one effect and one duplicate.
        unseen.discard(record.id)
        (tally.late if record.id in decision.stale else tally.processed).append(record)
    return tally
