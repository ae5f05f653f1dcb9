"""The kinds of servers that can be provisioned, each with its specification and its work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from services.provision import kafka, mysql, postgres, proxysql, redis, spec
from services.shared.runtime.specs import read

S = TypeVar(
    "S", spec.PostgresSpec, spec.MySQLSpec, spec.ProxySQLSpec, spec.KafkaSpec, spec.RedisSpec
)
Work = Callable[[Path, float], None]
"""Brings the server to what the spec file says; waits so many seconds for it."""


def _engine(model: type[S], provision: Callable[[S, float], None]) -> Work:
    return lambda path, wait_seconds: provision(read(model, path), wait_seconds)


ENGINES: Final[Mapping[str, Work]] = {
    "postgres": _engine(
        spec.PostgresSpec,
        lambda wanted, wait: asyncio.run(postgres.provision(wanted, wait_seconds=wait)),
    ),
    "mysql": _engine(
        spec.MySQLSpec,
        lambda wanted, wait: asyncio.run(mysql.provision(wanted, wait_seconds=wait)),
    ),
    "proxysql": _engine(
        spec.ProxySQLSpec,
        lambda wanted, wait: asyncio.run(proxysql.provision(wanted, wait_seconds=wait)),
    ),
    "kafka": _engine(
        spec.KafkaSpec, lambda wanted, wait: kafka.provision(wanted, wait_seconds=wait)
    ),
    "redis": _engine(
        spec.RedisSpec,
        lambda wanted, wait: asyncio.run(redis.provision(wanted, wait_seconds=wait)),
    ),
}
