"""What a run wrote, by id: the last value that was acknowledged, and the highest that was sent.

A write whose answer never came may be stored or not, so its value may be found and need not be.
Every value of an id is higher than the one before, and is sent only after that one's answer.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from loadtests.outcome import Outcome


@dataclass
class Account:
    """Of one id. 0 is no value: the first one written is 1."""

    acknowledged: int = 0
    highest: int = 0


class DocumentLedger:
    """The writes of one run, whose ids all begin with the same prefix."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self._outcomes: Counter[Outcome] = Counter()

    def note(self, document_id: str, value: int, outcome: Outcome) -> None:
        """Note one write. A refused one certainly did not happen, so nothing may be found of it.

        Raises:
            ValueError: the value is not above 0; it could not be told from no value.
        """
        if value < 1:
            raise ValueError(f"a value of {document_id} is {value}; values begin with 1")
        self._outcomes[outcome] += 1
        if outcome is Outcome.REFUSED:
            return
        account = self.accounts.setdefault(document_id, Account())
        account.highest = max(account.highest, value)
        if outcome is Outcome.ACKED:
            account.acknowledged = max(account.acknowledged, value)

    def count(self, outcome: Outcome) -> int:
        """How many writes had this outcome."""
        return self._outcomes[outcome]

    @property
    def acknowledged_ids(self) -> int:
        """How many different ids have an acknowledged value."""
        return sum(account.acknowledged > 0 for account in self.accounts.values())

    def rows(self) -> Iterator[str]:
        """A line for each id, as COPY takes it: id, acknowledged, highest.

        Ids are made of letters, digits and dashes here, so that nothing needs escaping.
        """
        for document_id, account in self.accounts.items():
            yield f"{document_id}\t{account.acknowledged}\t{account.highest}\n"
