"""The stream's Redis and the documents' cache, with the users that services have there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from components.servers.redis import config as redis_config
from services.shared.redis import client as redis_client
from services.shared.stream.settings import StreamSettings
from tests.integration.authority import PATIENCE
from tests.integration.containers import Containers
from tests.integration.redis_users import TESTER, kept, redis_user, tester
from tests.integration.servers import Authority, RedisServer, run_redis

MAX_MEMORY: Final = 64 * 2**20
SERVICE: Final = "ingest-service"


@dataclass
class IngestRedis(RedisServer):
    """Has the service's user, whose settings() are the default, and the tester's."""

    user: str = SERVICE

    def stream_settings(self) -> StreamSettings:
        return StreamSettings.model_validate(self.settings().model_dump())

    def variables(self, prefix: str) -> dict[str, str]:
        """What tells a service of it."""
        values = self.settings().model_dump()
        return {f"{prefix}_{name.upper()}": str(value) for name, value in values.items()}

    def tester(self, timeout: float = PATIENCE) -> Redis:
        return redis_client.client(self.settings(TESTER), timeout=timeout)


def start_stream(
    containers: Containers, authority: Authority, max_memory: int = MAX_MEMORY
) -> IngestRedis:
    """What it acknowledges is on its disk."""
    return _start(containers, authority, "redis-ingest", kept(max_memory), "redis-stream")


def start_documents_cache(containers: Containers, authority: Authority) -> IngestRedis:
    """As the cluster's cache."""
    conf = redis_config.redis_conf(
        max_memory_bytes=MAX_MEMORY, eviction="allkeys-lru", append_fsync=None
    )
    return _start(containers, authority, "redis-documents", conf, "redis-cache")


def _start(
    containers: Containers, authority: Authority, what: str, conf: str, server: str
) -> IngestRedis:
    password_file = authority.secret(what)
    password = password_file.read_text()
    users = [redis_user(SERVICE, server, password), tester(password)]
    container = run_redis(containers, authority, what, conf, users)
    return IngestRedis(container, authority, password_file)
