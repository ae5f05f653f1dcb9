"""Kafka: the cluster, the topics, and an account with its own ACLs per service."""

from components.kit import bindings, paths
from components.servers.kafka.cluster import Kafka, KafkaArgs, KafkaNodes
from components.servers.kafka.config import MECHANISMS
from infra.images.own import KAFKA, own_image
from infra.model.environment import Environment
from infra.model.servers import Server
from infra.model.services import Service
from infra.monitoring import kafka_jmx
from infra.stack.accounts import credential, hand_out, password, provision
from infra.stack.convert import once, resources, storage
from infra.stack.foundation import DATA, Foundation
from infra.stack.images import adds_agent
from infra.stack.protection import data_options


def provide_kafka(ground: Foundation, environment: Environment) -> dict[str, bindings.Binding]:
    """The cluster, and by service name the binding of every service that uses it."""
    record = next(server for server in ground.records.servers if server.engine == "kafka")
    cluster = _cluster(ground, environment, record)
    users = [service for service in ground.records.services if service.uses_kafka]
    passwords = {
        u.name: password(
            ground, _secret(u), DATA, beside={bindings.MECHANISM: _mechanism(ground, u)}
        )
        for u in users
    }
    provisioned = provision(
        ground,
        record,
        spec={
            "bootstrap_servers": cluster.admin_servers,
            "client_servers": cluster.bootstrap_servers,
            "ca_file": paths.CA_FILE,
            "certificate_file": f"{paths.secret('admin')}/tls.crt",
            "key_file": f"{paths.secret('admin')}/tls.key",
            "topics": _topics(ground),
            "users": [_user(ground, user) for user in users],
        },
        secrets={"admin": cluster.admin_files}
        | {name: made.files[DATA] for name, made in passwords.items()},
        incarnation=ground.settings.kafka.incarnation,
    )
    return {
        name: bindings.kafka(
            bootstrap_servers=once(cluster.bootstrap_servers, provisioned.completed),
            username=name,
            # A client cannot read it again: its pods are rolled, once Kafka knows it.
            password=hand_out(ground, made, provisioned),
        )
        for name, made in passwords.items()
    }


def _cluster(ground: Foundation, environment: Environment, record: Server) -> Kafka:
    settings, kubernetes = ground.settings.kafka, ground.settings.kubernetes
    controllers = (
        KafkaNodes(
            replicas=settings.controllers,
            heap=settings.controller_heap,
            resources=resources(settings.controller_resources),
            storage=storage(settings.controller_storage, kubernetes),
        )
        if settings.controllers
        else None
    )
    return Kafka(
        record.name,
        KafkaArgs(
            namespace=ground.namespaces.names[DATA],
            namespace_name=DATA,
            image=own_image(KAFKA, ground.catalogue, environment, ground.child)
            if adds_agent(ground.settings)
            else ground.catalogue.reference("kafka"),
            pull_secrets=ground.settings.images.pull_secrets,
            authority=ground.authority,
            brokers=KafkaNodes(
                replicas=settings.brokers,
                heap=settings.heap,
                resources=resources(settings.resources),
                storage=storage(settings.storage, kubernetes),
            ),
            controllers=controllers,
            replication_factor=settings.replication_factor,
            min_insync_replicas=settings.min_insync_replicas,
            retention_hours=settings.retention_hours,
            metrics=kafka_jmx.configuration(),
            one_per_host=kubernetes.spread == "hosts",
        ),
        data_options(ground.parent, protect=ground.settings.protect),
    )


def _topics(ground: Foundation) -> list[dict[str, object]]:
    settings = ground.settings.kafka
    return [
        {
            "name": name,
            "partitions": settings.partitions,
            "replication_factor": settings.replication_factor,
            "config": {
                "min.insync.replicas": str(settings.min_insync_replicas),
                "retention.ms": str(settings.retention_hours * 3_600_000),
            },
        }
        for name in ground.records.topics()
    ]


def _secret(service: Service) -> str:
    return f"kafka-{service.name}"


def _mechanism(ground: Foundation, service: Service) -> str:
    generation = ground.settings.rotation.of(_secret(service)).generation
    return MECHANISMS[(generation - 1) % len(MECHANISMS)]


def _user(ground: Foundation, service: Service) -> dict[str, object]:
    return {
        "name": service.name,
        "mechanism": _mechanism(ground, service),
        **credential(ground, _secret(service), service.name),
        "produce": list(service.produces),
        "consume": list(service.consumes),
        "groups": [service.name] if service.consumes else [],
    }
