"""What a client knows about a write that it sent."""

from enum import Enum


class Outcome(Enum):
    """The three classes that there are, for every ledger."""

    ACKED = "acked"
    REFUSED = "refused"
    UNKNOWN = "unknown"
