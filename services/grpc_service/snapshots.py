"""Up to where changes are known: which transactions can be seen, and which cannot yet.

A transaction has its number long before its changes can be seen, and one with a lower number may
commit seconds after one with a higher: "all up to this number" would miss it for good. So what is
remembered is what PostgreSQL itself goes by, a snapshot: from which number on nothing was seen, and
which below it were still running. The rows whose transaction one snapshot does not see and a later
one does are what has changed between the two, exactly, whoever commits when, and however long it
takes. Nothing is read twice, and no row is locked.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

_FORM = re.compile(r"(\d{1,18}):(\d{1,18}):((?:\d{1,18}(?:,\d{1,18})*)?)")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """As PostgreSQL's pg_snapshot: transactions from `end` on cannot be seen, nor can those that
    were `running`, which are below it and in their order. Its text is PostgreSQL's."""

    end: int
    running: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """What str() gave. Raises ValueError."""
        found = _FORM.fullmatch(text)
        if found is not None:
            running = tuple(int(number) for number in found[3].split(",") if number)
            snapshot = cls(int(found[2]), running)
            below = not running or running[-1] < snapshot.end
            # A number whose lower half is zero is no transaction's, and PostgreSQL refuses it.
            real = all(int(end) & 0xFFFFFFFF for end in (found[1], found[2]))
            if below and real and [*running] == sorted({*running}) and str(snapshot) == text:
                return snapshot
        raise ValueError(f"{text!r} is no snapshot")

    def __str__(self) -> str:
        running = ",".join(str(number) for number in self.running)
        return f"{self.running[0] if running else self.end}:{self.end}:{running}"

    def sees(self, transaction: int) -> bool:
        """Whether what it has done belongs to the past."""
        return transaction < self.end and transaction not in self.running

    def towards(self, later: Snapshot, transaction: int) -> Snapshot:
        """This one, and besides of what `later` sees the transactions up to that one: as much as is
        known to who goes from here to there in the order of the transactions' numbers."""
        done = later.running[: bisect_right(later.running, transaction)]
        left = self.running[bisect_right(self.running, transaction) :]
        return Snapshot(max(self.end, transaction + 1), done + left)

    def shortened(self, most: int) -> Snapshot:
        """One with at most so many running. Of what this one sees it may take some for unseen,
        which is told once more then; it never sees more."""
        if len(self.running) <= most:
            return self
        return Snapshot(self.running[most], self.running[:most])
