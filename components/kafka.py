"""Kafka in KRaft mode: brokers, and dedicated controllers where asked for."""

import pulumi

from components.args import Args, Files, Image, Quantity, Resources, Storage, Text
from components.pki import CertificateAuthority


class KafkaNodes(Args):
    """One group of identical Kafka nodes."""

    replicas: int
    heap: Quantity
    resources: Resources
    storage: Storage


class KafkaArgs(Args):
    """A Kafka cluster. Its object names follow the component's name (`kafka`)."""

    namespace: Text
    namespace_name: str = "data"
    """The namespace's name as plain text: certificates and voters need DNS names at once."""
    image: Image
    authority: CertificateAuthority
    brokers: KafkaNodes
    controllers: KafkaNodes | None = None
    """None: the brokers are controllers too (combined mode)."""
    replication_factor: int = 1
    """Of the internal topics, and the default of others."""
    min_insync_replicas: int = 1
    retention_hours: int = 168


class Kafka(pulumi.ComponentResource):
    """A KRaft cluster with TLS everywhere, SCRAM for clients, and authorization deny-by-default.

    Listeners: CLIENT 9092 (SASL_SSL, SCRAM-SHA-512), CONTROLLER 9093 (mTLS), INTERNAL 9094 (mTLS,
    between brokers and for administration). `User:broker` and `User:admin` are super users.

    Makes: ConfigMaps, certificates `<name>-tls` and `<name>-admin-tls`, per node group a headless
    Service, StatefulSet and PDB, and the Service `<name>`.
    """

    bootstrap_servers: pulumi.Output[str]
    """`kafka.data.svc:9092` for clients; known once the brokers are ready."""
    admin_servers: pulumi.Output[str]
    """`kafka-0.kafka-headless.data.svc.cluster.local:9094,…` for administration over mTLS."""
    admin_files: Files
    """Secret with the admin's `tls.crt`, `tls.key` and `ca.crt`, in Kafka's namespace."""
