"""Every dashboard of a platform, from its records."""

from collections.abc import Collection
from dataclasses import replace

from infra.model.records import Records
from infra.monitoring.boards import (
    cluster,
    kafka,
    mysql,
    outbox,
    overview,
    postgres,
    redis,
    service,
)
from infra.monitoring.boards.board import Board, Need


def boards(records: Records, *, has: Collection[Need]) -> tuple[Board, ...]:
    """In the order of menus: overview, services, servers, machines.

    Args:
        records: the population.
        has: what the stack has of what not every stack has; rows about the rest are left out.
    """
    every = (
        overview.board(),
        *(service.board(one) for one in records.services),
        outbox.board(),
        kafka.board(),
        postgres.board(records.server_names(engine="postgres")),
        mysql.board(records.server_names(engine="mysql")),
        redis.board(records.server_names(engine="redis")),
        cluster.board(),
    )
    return tuple(
        replace(one, rows=tuple(row for row in one.rows if row.needs is None or row.needs in has))
        for one in every
    )
