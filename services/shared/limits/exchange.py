"""The buckets of all pods of a service, in Redis, by its clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis

from services.contracts.ids import new_id

_PODS_SECONDS: Final = 60
"""For which a pod that told nothing still counts as one."""

# KEYS: the pods, and a bucket each. ARGV: this pod, for how long it counts, the cost of a request
# and the most that a bucket may lack, then how many requests each took. All times are in
# microseconds of the server's clock. Set back, it would have buckets lack more than they can; that
# is cut off. What clients took too much at several pods they owe, up to the size of the bucket.
_TELL: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local counts, cost, most = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - counts)
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + counts, '+inf')
redis.call('PEXPIRE', KEYS[1], counts / 1000)
local answers = {redis.call('ZCARD', KEYS[1])}
for place = 2, #KEYS do
    local lacks = math.max(tonumber(redis.call('GET', KEYS[place]) or now) - now, 0)
    lacks = math.min(lacks, most) + ARGV[place + 3] * cost
    lacks = math.ceil(math.min(lacks, most))
    redis.call('SET', KEYS[place], string.format('%.0f', now + lacks),
        'PX', math.ceil(lacks / 1000))
    answers[place] = lacks
end
return answers
"""


class Told(NamedTuple):
    """What Redis answers."""

    pods: int
    """That took part lately, this one among them."""
    until_full: list[float]
    """Seconds until each bucket is full again, in the order in which they were told."""


class Exchange:
    """Of one process."""

    def __init__(self, redis: Redis, service: str, per_second: float, burst: int) -> None:
        """`redis` bounds how long an exchange takes."""
        self._tell = redis.register_script(_TELL)
        self._prefix = f"limit:{service}:"
        cost = 1e6 / per_second
        self._terms = (new_id(), _PODS_SECONDS * 1_000_000, cost, 2 * burst * cost)

    async def __call__(self, taken: Mapping[str, int]) -> Told:
        """Tell how many requests clients made here since it was last told.

        Raises RedisError, OSError or SettingsError; then it may have been told or not.
        """
        keys = [f"{self._prefix}pods", *(self._prefix + client for client in taken)]
        answer: Any = await self._tell(keys=keys, args=[*self._terms, *taken.values()])
        return Told(answer[0], [lacks / 1e6 for lacks in answer[1:]])
