"""The Python services of the platform, each as one declarative record.

This is the entry in the composition that a new service costs. Everything else (database role,
Kafka account and ACLs, topics, mounted secrets, probes, disruption budget, migration Job) follows
from the record. Plain data: no Pulumi here, so that the settings can check service names with it.
"""

from dataclasses import dataclass
from typing import Final, Literal

from services.contracts.topics import DEAD_LETTER, RESOURCE_EVENTS, TASK_EVENTS


class RecordError(ValueError):
    """The records contradict each other; the message names those that do and the way out."""


@dataclass(frozen=True)
class Workload:
    """One Python service: what it runs and which shared systems it may reach.

    `database` is both the database's and the role's name; its migrations run before the service
    rolls. Topics named here exist because they are named here, and the account of the same name
    as the service may do with them exactly what the record says.
    """

    name: str
    command: tuple[str, ...]
    database: str | None = None
    produces: tuple[str, ...] = ()
    consumes: tuple[str, ...] = ()
    cache_keys: tuple[str, ...] = ()
    """Key patterns in the Redis cache that are this service's own; empty: it does not use it."""
    entry: Literal["http"] | None = None
    """Which port of the stack's entry leads here from outside the cluster; None: no one."""
    extra_connections: int = 0
    """Connections to the database that a pod holds outside its pool."""
    pod_name_env: tuple[str, ...] = ()
    """Variables that carry the pod's name, which tells the instances of a service apart."""

    @property
    def uses_kafka(self) -> bool:
        return bool(self.produces or self.consumes)


WORKLOADS: Final = (
    Workload(
        name="rest-service",
        command=("python", "-m", "services.rest_service"),
        database="restdb",
        cache_keys=("resource:*",),
        entry="http",
    ),
    Workload(
        name="outbox-relay-rest",
        command=("python", "-m", "services.outbox_relay"),
        database="restdb",
        produces=RESOURCE_EVENTS,
        extra_connections=1,  # LISTEN: a pool takes its connections back, and the wake-ups with it
        pod_name_env=("RELAY_ID",),
    ),
    Workload(
        name="event-worker",
        command=("python", "-m", "services.event_worker"),
        database="workerdb",
        consumes=RESOURCE_EVENTS + TASK_EVENTS,
        produces=(DEAD_LETTER,),
        pod_name_env=("KAFKA_GROUP_INSTANCE_ID",),
    ),
)


def workload_names() -> tuple[str, ...]:
    """The names a stack file may use."""
    return tuple(workload.name for workload in WORKLOADS)


def check_entries(workloads: tuple[Workload, ...]) -> None:
    """Raises RecordError when two records claim the stack's one entry.

    The stack file has one host and one port: as node port of two Services the API server would
    refuse the second, and two load balancers would be announced under one URL.
    """
    entries = [workload.name for workload in workloads if workload.entry is not None]
    if len(entries) > 1:
        raise RecordError(
            f"{' and '.join(entries)} both have an entry, but the stack file's entry has one port; "
            "keep it in one of the records, and route to the others behind it"
        )


def databases(workloads: tuple[Workload, ...]) -> tuple[str, ...]:
    """Every database some service uses, once, in the order of first use."""
    return tuple(dict.fromkeys(w.database for w in workloads if w.database is not None))


def topics(workloads: tuple[Workload, ...]) -> tuple[str, ...]:
    """Every topic some service produces or consumes, once, in the order of first use."""
    return tuple(dict.fromkeys(t for w in workloads for t in w.produces + w.consumes))
