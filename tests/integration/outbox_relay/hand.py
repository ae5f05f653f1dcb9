"""A relay's statements one at a time."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry

from services.outbox_relay.detour import Look
from services.outbox_relay.leases import Leases
from services.outbox_relay.metrics import RelayMetrics
from services.outbox_relay.outcomes import OutboxEvent
from services.outbox_relay.store import OutboxStore
from tests.integration.counting import CountingDatabase


class Hand:
    """A relay's leases and store, moved by hand."""

    def __init__(self, database: CountingDatabase, owner: str, ttl: float = 300) -> None:
        """`ttl`: by far longer than any test takes, which renews nothing meanwhile."""
        self.metrics = RelayMetrics(CollectorRegistry())
        self.leases = Leases(database, self.metrics, owner, ttl)
        self.store = OutboxStore(database, owner)

    @property
    def tokens(self) -> dict[int, int]:
        return {lane: held.token for lane, held in self.leases.usable(0).items()}

    async def claim(self, limit: int = 500, **changes: Any) -> list[OutboxEvent]:
        return await self.store.claim(
            changes.get("lanes", self.tokens),
            lease_left=changes.get("lease_left", 1),
            resting_keys=changes.get("resting_keys", []),
            limit=limit,
            careful_attempts=3,
        )

    async def look(self, lanes: dict[int, int] | None = None, after: int = 0) -> Look:
        lanes = self.tokens if lanes is None else lanes
        return await self.store.look(lanes, [after] * len(lanes), lease_left=1)
