"""The Python services: every record of `infra.model.services` through the one workload builder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from components.kit import bindings
from components.kit.args import Resources
from components.workloads.ports import Entry, Port
from components.workloads.scaling import Pace, Scale
from components.workloads.sidecars import Sidecar
from components.workloads.workload import Workload, WorkloadArgs
from infra.model import services, variables
from infra.model.environment import Environment
from infra.model.services import Service
from infra.model.settings import (
    DownSettings,
    EntrySettings,
    KafkaSettings,
    ReplicaRange,
    ServiceSettings,
    UpSettings,
)
from infra.stack import auth, tokens, tracing
from infra.stack.convert import resources
from infra.stack.databases import Database
from infra.stack.foundation import APPS, Foundation


@dataclass(frozen=True)
class Shared:
    """What the services may connect to."""

    databases: Mapping[str, Database]
    """By database name."""
    kafka: Mapping[str, bindings.Binding]
    """By service name."""
    redis: Mapping[str, Sequence[bindings.Binding]]
    """By service name."""


def run_services(
    ground: Foundation, environment: Environment, shared: Shared
) -> dict[str, Workload]:
    """Every service, by name."""
    return {
        record.name: _service(ground, environment, shared, record)
        for record in ground.records.services
    }


def _service(
    ground: Foundation, environment: Environment, shared: Shared, record: Service
) -> Workload:
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
            replicas=_replicas(settings.replicas),
            ports=tuple(_ports(record, ground.settings.entry)),
            entry=_entry(record, ground.settings.entry),
            sidecars=tuple(_sidecar(ground, sidecar) for sidecar in record.sidecars),
            api_token=record.api_token,
            bindings=(
                *_bindings(shared, record, settings),
                *auth.bindings(ground, environment, record),
            ),
            env={
                **_environment(record, settings, ground.settings.kafka),
                **tokens.told(ground.settings, environment, record),
                **tracing.told(ground.settings, ground.namespaces.names[APPS], record),
            },
            pod_name_env=(
                *record.pod_name_env,
                *tracing.pod_name_env(ground.settings, record),
            ),
            # Kafka's client reads the CA's file once; all others do for every connection.
            config={"ca": ground.authority.bundle_version} if record.uses_kafka else {},
        ),
        ground.child,
    )


def _bindings(
    shared: Shared, record: Service, settings: ServiceSettings
) -> Iterator[bindings.Binding]:
    for use in record.databases:
        pool_size = use.pool_size or settings.database_pool_size
        yield shared.databases[use.name].binding(pool_size, use.binding, readers=use.readers)
    if record.uses_kafka:
        yield shared.kafka[record.name]
    yield from shared.redis.get(record.name, ())


def _environment(
    record: Service, settings: ServiceSettings, kafka: KafkaSettings
) -> dict[str, str]:
    consumer = {
        "KAFKA_GROUP_ID": record.name,
        "KAFKA_TOPICS": ",".join(record.consumes),
        **({"KAFKA_DEAD_LETTER_TOPIC": record.dead_letter} if record.dead_letter else {}),
        # What Kafka may deliver again must be recognised for as long.
        "KAFKA_RETENTION_HOURS": str(kafka.retention_hours),
    }
    asked = {
        name: variables.text(settings.environment[name])
        for name in variables.settable(record)
        if name in settings.environment
    }
    return {"LOG_LEVEL": settings.log_level, **asked} | (consumer if record.consumes else {})


def _replicas(settings: int | ReplicaRange) -> int | Scale:
    if isinstance(settings, int):
        return settings
    return Scale(
        min=settings.min,
        max=settings.max,
        cpu_percent=settings.cpu_percent,
        up=_pace(settings.up),
        down=_pace(settings.down),
    )


def _pace(settings: UpSettings | DownSettings) -> Pace:
    return Pace(
        after_seconds=settings.after_seconds,
        pods=settings.pods,
        every_seconds=settings.every_seconds,
    )


def _ports(record: Service, settings: EntrySettings) -> Iterator[Port]:
    for port in record.ports:
        outside = settings.ports[port.entry] if port.entry else None
        yield Port(name=port.name, number=port.number, protocol=port.protocol, outside=outside)


def _entry(record: Service, settings: EntrySettings) -> Entry | None:
    if not any(port.entry for port in record.ports):
        return None
    return Entry(type=settings.type, annotations=settings.annotations)


def _sidecar(ground: Foundation, record: services.Sidecar) -> Sidecar:
    own = record.image == "services"
    return Sidecar(
        name=record.name,
        image=ground.services_image if own else ground.catalogue.reference(record.image),
        command=record.command,
        env=record.env,
        resources=Resources(
            cpu_request=record.cpu[0],
            cpu_limit=record.cpu[1],
            memory_request=record.memory[0],
            memory_limit=record.memory[1],
        ),
    )
