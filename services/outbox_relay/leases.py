"""Leases on lanes: membership, renewal, acquisition and release over relay_lease.

The database's clock alone decides whether a lease has run out. What this process believes is
always the more cautious view: a lease is counted from before the statement that renewed it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta

from services.outbox_relay.lanes import Lane, fair_share, plan
from services.outbox_relay.metrics import RelayMetrics
from services.shared.postgres.database import Connection, Database
from services.shared.runtime.logging import get_logger
from services.shared.runtime.trouble import Trouble

log = get_logger(__name__)

_JOIN = """
INSERT INTO relay_member (id, expires_at) VALUES ($1, clock_timestamp() + $2::interval)
ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at
"""
_RENEW = """
UPDATE relay_lease l SET expires_at = clock_timestamp() + $4::interval
FROM unnest($1::smallint[], $2::bigint[]) AS t(lane, token)
WHERE l.lane = t.lane AND l.token = t.token AND l.owner = $3
RETURNING l.lane
"""
_MEMBERS = "SELECT id FROM relay_member WHERE expires_at > clock_timestamp()"
_LANES = """
SELECT lane, owner, (owner IS NULL OR expires_at <= clock_timestamp()) AS free FROM relay_lease
"""
# SKIP LOCKED: a lane that another relay is taking at this moment is not worth waiting for.
_ACQUIRE = """
WITH free AS (
    SELECT lane FROM relay_lease
    WHERE lane = ANY ($1::smallint[]) AND (owner IS NULL OR expires_at <= clock_timestamp())
    ORDER BY lane FOR UPDATE SKIP LOCKED
)
UPDATE relay_lease l
SET owner = $2, token = l.token + 1, expires_at = clock_timestamp() + $3::interval
FROM free WHERE l.lane = free.lane
RETURNING l.lane, l.token
"""
_RELEASE = """
UPDATE relay_lease l SET owner = NULL, expires_at = NULL
FROM unnest($1::smallint[], $2::bigint[]) AS t(lane, token)
WHERE l.lane = t.lane AND l.token = t.token AND l.owner = $3
"""
_LEAVE = "DELETE FROM relay_member WHERE id = $1 OR expires_at < clock_timestamp() - $2::interval"


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease of ours: its fencing token and the monotonic time at which it may be over."""

    token: int
    until: float


class Leases:
    """The lanes one relay process has a lease on.

    `owner` must be unique per process, not per pod: a process that restarts has to wait for its
    predecessor's leases like anybody else, since their messages may still be on their way.
    """

    def __init__(
        self,
        database: Database,
        metrics: RelayMetrics,
        owner: str,
        ttl_seconds: float,
        *,
        on_gain: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._owner = owner
        self._ttl = ttl_seconds
        self._clock = clock
        self._mine: dict[int, Lease] = {}
        self._surplus: set[int] = set()
        self._changes = asyncio.Lock()
        self._left = False
        self._on_gain = on_gain

    @property
    def count(self) -> int:
        return len(self._mine)

    def usable(self, seconds: float) -> dict[int, Lease]:
        """The lanes whose lease certainly has `seconds` left, and that nobody else waits for."""
        limit = self._clock() + seconds
        return {
            lane: lease
            for lane, lease in self._mine.items()
            if lease.until >= limit and lane not in self._surplus
        }

    async def keep(self) -> None:
        """Renew and balance for ever; tolerates the database's absence. Cancel it to stop."""
        trouble = Trouble()
        while True:
            pause = self._ttl / 4
            try:
                if await self.balance() > 0:
                    # Lanes we are entitled to are still another's: look again soon.
                    pause = min(pause, 0.25)
            except Exception as error:  # the leases run out by themselves; the loop goes on
                if trouble.worth_logging("lease_renewal_failed"):
                    log.warning("lease_renewal_failed", error=f"{type(error).__name__}: {error}")
                pause = min(pause, 0.5)
            else:
                if trouble.over():
                    log.info("lease_renewal_recovered")
            await asyncio.sleep(pause)

    async def balance(self) -> int:
        """One round: say that we live, renew, and move towards the fair share.

        Returns how many lanes are still missing. Surplus lanes are only noted, see
        release_surplus(). After release_all() it does nothing: the helper that keeps calling it
        outlives the loop that has left.
        """
        async with self._changes:
            if self._left:
                return 0
            ttl = timedelta(seconds=self._ttl)
            async with self._database.connection() as connection:
                await connection.execute(_JOIN, self._owner, ttl)
                await self._renew(connection, ttl)
                members = {row["id"] for row in await connection.fetch(_MEMBERS)}
                lanes = [
                    Lane(row["lane"], row["owner"], row["free"])
                    for row in await connection.fetch(_LANES)
                ]
                wanted = plan(self._owner, members, lanes, self._mine)
                self._surplus = set(wanted.release) & set(self._mine)
                gained: dict[int, Lease] = {}
                if wanted.acquire:
                    asked = self._clock()
                    rows = await connection.fetch(_ACQUIRE, list(wanted.acquire), self._owner, ttl)
                    gained = {row["lane"]: Lease(row["token"], asked + self._ttl) for row in rows}
            if gained:
                self._mine |= gained
                self._changed("acquired", gained)
                self._on_gain()
            self._metrics.lanes_leased.set(len(self._mine))
            return fair_share(self._owner, members, len(lanes)) - len(self._mine)

    async def _renew(self, connection: Connection, ttl: timedelta) -> None:
        before = dict(self._mine)
        if not before:
            return
        asked = self._clock()
        rows = await connection.fetch(
            _RENEW, list(before), [lease.token for lease in before.values()], self._owner, ttl
        )
        renewed = {row["lane"] for row in rows}
        for lane, lease in before.items():
            if lane in renewed:
                self._mine[lane] = Lease(lease.token, asked + self._ttl)
            else:
                del self._mine[lane]
        lost = sorted(before.keys() - renewed)
        if lost:
            self._changed("lost", lost)

    async def release_surplus(self) -> None:
        """Hand back lanes above the fair share. Call it only while no batch is in flight:
        the next owner may publish the moment a lane is free.
        """
        if not self._surplus:
            return
        async with self._changes:
            await self._release(self._surplus & set(self._mine))
            self._surplus = set()

    async def release_all(self) -> None:
        """Hand back everything and leave for good, so that others need not wait for the leases
        to end.
        """
        async with self._changes:
            self._left = True
            await self._release(set(self._mine))
            async with self._database.connection() as connection:
                await connection.execute(_LEAVE, self._owner, timedelta(seconds=10 * self._ttl))

    async def _release(self, lanes: set[int]) -> None:
        if not lanes:
            return
        given = sorted(lanes)
        # Forgotten first: whether or not the statement gets through, they are not used again.
        tokens = [self._mine.pop(lane).token for lane in given]
        self._metrics.lanes_leased.set(len(self._mine))
        async with self._database.connection() as connection:
            await connection.execute(_RELEASE, given, tokens, self._owner)
        self._changed("released", given)

    def _changed(self, change: str, lanes: Collection[int]) -> None:
        self._metrics.lease_changes.labels(change).inc(len(lanes))
        log.info("lanes_" + change, lanes=len(lanes), ours=len(self._mine))
