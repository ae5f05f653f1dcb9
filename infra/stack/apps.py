"""The Python services: every record of `infra.model.services` through the one workload builder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from components.kit import connections
from components.workloads.workload import Entry, Workload, WorkloadArgs
from infra.model.services import Service
from infra.model.settings import EntrySettings, KafkaSettings, ServiceSettings
from infra.stack.convert import resources
from infra.stack.foundation import APPS, Foundation
from infra.stack.postgres import Database
from services.contracts.topics import DEAD_LETTER


@dataclass(frozen=True)
class Shared:
    """What the services may connect to."""

    databases: Mapping[str, Database]
    """By database name."""
    kafka: Mapping[str, connections.Connection]
    """By service name."""
    redis: Mapping[str, Sequence[connections.Connection]]
    """By service name."""


def run_services(ground: Foundation, shared: Shared) -> dict[str, Workload]:
    """Every service, by name."""
    return {record.name: _service(ground, shared, record) for record in ground.records.services}


def _service(ground: Foundation, shared: Shared, record: Service) -> Workload:
    settings = ground.settings.services.of(record.name)
    return Workload(
        record.name,
        WorkloadArgs(
            namespace=ground.namespaces.names[APPS],
            image=ground.services_image,
            pull_secrets=ground.settings.images.pull_secrets,
            command=record.command,
            resources=resources(settings.resources),
            ca=ground.authority.bundles[APPS],
            replicas=settings.replicas,
            entry=_entry(ground.settings.entry) if record.ports[0].entry else Entry(),
            http_port=record.ports[0].number,
            connections=tuple(_connections(shared, record, settings)),
            env=_environment(record, settings, ground.settings.kafka),
            pod_name_env=record.pod_name_env,
        ),
        ground.child,
    )


def _connections(
    shared: Shared, record: Service, settings: ServiceSettings
) -> Iterator[connections.Connection]:
    if record.database is not None:
        yield shared.databases[record.database.name].connection(settings.database_pool_size)
    if record.uses_kafka:
        yield shared.kafka[record.name]
    yield from shared.redis.get(record.name, ())


def _environment(
    record: Service, settings: ServiceSettings, kafka: KafkaSettings
) -> dict[str, str]:
    consumer = {
        "KAFKA_GROUP_ID": record.name,
        "KAFKA_TOPICS": ",".join(record.consumes),
        "KAFKA_DEAD_LETTER_TOPIC": DEAD_LETTER,
        # What Kafka may deliver again must be recognised for as long.
        "KAFKA_RETENTION_HOURS": str(kafka.retention_hours),
    }
    return {"LOG_LEVEL": settings.log_level} | (consumer if record.consumes else {})


def _entry(settings: EntrySettings) -> Entry:
    if settings.type == "NodePort":
        return Entry(type="NodePort", port=80, node_port=settings.http_port)
    return Entry(type=settings.type, port=settings.http_port, annotations=settings.annotations)
