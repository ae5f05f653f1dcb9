"""What a run wrote, by key: the last value that was acknowledged, and the highest that was sent.

A write whose answer never came may be stored or not, so its value may be found and need not be.
Every value of a key is higher than the one before, and is sent only after that one's answer.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from loadtests.differences import EXAMPLES, Differences
from loadtests.outcome import Outcome


@dataclass(slots=True)
class Account:
    """Of one key. 0 is no value: the first one written is 1 or more."""

    acknowledged: int = 0
    highest: int = 0


class ValueLedger:
    """The writes of one run, whose keys all begin with the same prefix."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self._outcomes: Counter[Outcome] = Counter()

    def note(self, key: str, value: int, outcome: Outcome) -> None:
        """Note one write. A refused one certainly did not happen, so nothing may be found of it.

        Raises:
            ValueError: the value is not above 0; it could not be told from no value.
        """
        if value < 1:
            raise ValueError(f"a value of {key} is {value}; values begin with 1")
        self._outcomes[outcome] += 1
        if outcome is Outcome.REFUSED:
            return
        account = self.accounts.setdefault(key, Account())
        account.highest = max(account.highest, value)
        if outcome is Outcome.ACKED:
            account.acknowledged = max(account.acknowledged, value)

    def count(self, outcome: Outcome) -> int:
        """How many writes had this outcome."""
        return self._outcomes[outcome]

    @property
    def acknowledged_keys(self) -> int:
        """How many different keys have an acknowledged value."""
        return sum(account.acknowledged > 0 for account in self.accounts.values())

    def rows(self) -> Iterator[str]:
        """A line for each key, tabs between: key, acknowledged, highest.

        Keys hold nothing here that would need escaping; one of several columns holds tabs.
        """
        for key, account in self.accounts.items():
            yield f"{key}\t{account.acknowledged}\t{account.highest}\n"

    def check(self, found: Iterable[tuple[str, float]]) -> Differences:
        """Hold this against keys and values that a store holds, all those of the run."""
        faults: dict[str, list[str]] = {"missing": [], "never written": [], "stale": []}
        unseen = {key: one for key, one in self.accounts.items() if one.acknowledged}
        for key, value in found:
            unseen.pop(key, None)
            account = self.accounts.get(key, Account())
            if value > account.highest or value < 1 or not value.is_integer():
                faults["never written"].append(_fault(key, "never written", account, value))
            elif value < account.acknowledged:
                faults["stale"].append(_fault(key, "stale", account, value))
        for key, account in unseen.items():
            faults["missing"].append(_fault(key, "missing", account, None))
        return Differences(
            missing=len(faults["missing"]),
            stale=len(faults["stale"]),
            never_written=len(faults["never written"]),
            examples=tuple(one for some in faults.values() for one in sorted(some)[:EXAMPLES]),
        )


def _fault(key: str, fault: str, account: Account, value: float | None) -> str:
    acknowledged = account.acknowledged or "nothing"
    holds = "nothing" if value is None else f"{value:g}"
    return f"{' '.join(key.split())} is {fault}: acknowledged {acknowledged}, stored {holds}"
