"""Redis as the cluster sets it up: what a service may do there, and what is kept."""

from __future__ import annotations

import hashlib

from components.servers.redis import config as redis_config
from infra.model.services import SERVICES

TESTER = "tester"


def redis_user(service: str, server: str, password: str) -> str:
    """The line of the ACL file for a service on a server, with the rights of its record."""
    [record] = (one for one in SERVICES if one.name == service)
    [use] = (one for one in record.redis if one.server == server)
    return redis_config.user_line(service, [password], use.keys, use.commands)


def tester(password: str) -> str:
    """A user who may do everything, for what a test must see or bring about."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    return f"user {TESTER} reset on #{digest} ~* &* +@all"


def kept(max_memory_bytes: int, append_fsync: str = "always") -> str:
    """The configuration of a server that keeps: with `always`, what it has answered is on its
    disk."""
    return redis_config.redis_conf(
        max_memory_bytes=max_memory_bytes, eviction="noeviction", append_fsync=append_fsync
    )
