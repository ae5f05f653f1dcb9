"""The alerts, a file per area; each area is a rule file and a page of runbooks."""

from infra.model.records import RECORDS, Records
from infra.monitoring.alerts import (
    backups,
    certificates,
    kafka,
    kubernetes,
    monitoring,
    mysql,
    outbox,
    redis,
    servers,
    services,
    stream,
    tasks,
)
from infra.monitoring.forms import Group


def groups(records: Records = RECORDS) -> tuple[Group, ...]:
    """Every area's rules; those that go by names of records are made of them."""
    return (
        services.GROUP,
        outbox.GROUP,
        stream.GROUP,
        tasks.GROUP,
        kafka.GROUP,
        servers.group(records),
        mysql.GROUP,
        redis.GROUP,
        backups.GROUP,
        certificates.GROUP,
        kubernetes.GROUP,
        monitoring.group(records),
    )
