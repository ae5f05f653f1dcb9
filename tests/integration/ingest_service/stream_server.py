"""The stream's Redis and the documents' cache, with the users that services have there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from components.servers.redis import config as redis_config
from services.shared.redis import client as redis_client
from services.shared.stream.settings import StreamSettings
from tests.integration.containers import Containers
from tests.integration.servers import Authority, RedisServer, run_redis

MAX_MEMORY: Final = 64 * 2**20
STREAM_COMMANDS: Final = (
    "evalsha", "script|load", "hget", "hset", "xadd", "xinfo|groups", "xlen", "memory|stats",
)  # fmt: skip
CACHE_COMMANDS: Final = ("get", "set")
SERVICE: Final = "ingest-service"
TESTER: Final = "tester"
"""May do everything, for what a test must see or bring about."""


@dataclass
class IngestRedis(RedisServer):
    """Has the service's user, whose settings() are the default, and the tester's."""

    user: str = SERVICE

    def stream_settings(self) -> StreamSettings:
        return StreamSettings.model_validate(self.settings().model_dump())

    def tester(self, timeout: float = 5.0) -> Redis:
        return redis_client.client(self.settings(TESTER), timeout=timeout)


def start_stream(containers: Containers, authority: Authority) -> IngestRedis:
    """What it acknowledges is on its disk."""
    conf = redis_config.redis_conf(
        max_memory_bytes=MAX_MEMORY, eviction="noeviction", append_fsync="always"
    )
    return _start(containers, authority, "redis-ingest", conf, "data:*", STREAM_COMMANDS)


def start_documents_cache(containers: Containers, authority: Authority) -> IngestRedis:
    """As the cluster's cache."""
    conf = redis_config.redis_conf(
        max_memory_bytes=MAX_MEMORY, eviction="allkeys-lru", append_fsync=None
    )
    return _start(containers, authority, "redis-documents", conf, "document:*", CACHE_COMMANDS)


def _start(
    containers: Containers,
    authority: Authority,
    what: str,
    conf: str,
    keys: str,
    commands: tuple[str, ...],
) -> IngestRedis:
    password_file = authority.secret(what)
    password = password_file.read_text()
    digest = hashlib.sha256(password.encode()).hexdigest()
    users = [
        redis_config.user_line(SERVICE, password, [keys], commands),
        f"user {TESTER} reset on #{digest} ~* &* +@all",
    ]
    container = run_redis(containers, authority, what, conf, users)
    return IngestRedis(container, authority, password_file)
