"""What a service gives its inbox: the effect of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.shared.inbox.records import Record
from services.shared.postgres.database import Connection


class Effect(Protocol):
    """What events lead to in the database, such as a row for each."""

    async def apply(self, connection: Connection, records: Sequence[Record]) -> set[str]:
        """Have the effect of `records`, in their order, in the transaction that `connection` is in.

        Returns the ids of those that had none before. It is idempotent by id: a record may come
        again for as long as Kafka keeps its message, after a crash or twice among these.

        Whatever a record's content can be refused for has to be found when its message is read
        (BadEventError), or when its payload becomes jsonb: one that was held comes here long after
        its message was consumed, and beside others that are good. For refused is taken a ValueError
        or an error of PostgreSQL's classes 22, 23 and 54, a unique key's included; everything else
        is tried again for as long as it takes.
        """
        ...
