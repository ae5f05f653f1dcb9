"""Kafka client configuration: SASL_SSL with SCRAM, and the settings order depends on.

The names are librdkafka's (its CONFIGURATION.md); values are strings, numbers and booleans.
"""

from __future__ import annotations

from typing import Any, Final

from confluent_kafka import KafkaError

from services.shared.runtime.settings import KafkaSettings, SettingsError, read_secret

Config = dict[str, Any]

MECHANISMS: Final = ("SCRAM-SHA-512", "SCRAM-SHA-256")

# A producer batch is rejected as a whole when it exceeds the topic's limit (1 MiB by default).
# Kept far below, a rejected batch can only be one event that is itself too large.
_BATCH_BYTES = 256 * 1024

# Says nothing about the message: the cluster, the network or our credentials are at fault.
_ENVIRONMENT = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._AUTHENTICATION,
        KafkaError._DESTROY,
        KafkaError._FAIL,
        KafkaError._FATAL,
        KafkaError._FENCED,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._PURGE_INFLIGHT,
        KafkaError._PURGE_QUEUE,
        KafkaError._QUEUE_FULL,
        KafkaError._RESOLVE,
        KafkaError._RETRY,
        KafkaError._SSL,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._TRANSPORT,
        KafkaError._WAIT_COORD,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
        KafkaError.UNKNOWN_PRODUCER_ID,
        KafkaError.UNKNOWN_TOPIC_ID,
    }
)

# Says nothing about the message either, but only its topic is concerned: it is missing, or not ours
# to write (Kafka may answer the one for the other), and other topics need not wait for it.
_TOPIC = frozenset(
    {
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)

# The same message will be refused for ever.
_PERMANENT = frozenset(
    {
        KafkaError._INVALID_ARG,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.TOPIC_EXCEPTION,  # a name no topic can have
    }
)

# The idempotent producer has lost its place and only a new one helps
# (confluentinc/librdkafka#3584, aio-libs/aiokafka#1017).
_PRODUCER_LOST = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
        KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
        KafkaError.UNKNOWN_PRODUCER_ID,
    }
)


def is_environment(error: KafkaError) -> bool:
    """Whether `error` blames the cluster, the network or our rights rather than the message."""
    return error.code() in _ENVIRONMENT


def is_topic(error: KafkaError) -> bool:
    """Whether `error` blames the topic, for as long as an operator leaves it so."""
    return error.code() in _TOPIC


def is_permanent(error: KafkaError) -> bool:
    """Whether the same message would be refused on every further try."""
    return error.code() in _PERMANENT


def is_client_lost(error: KafkaError) -> bool:
    """Whether the client that reported `error` does nothing any more, so that it must be replaced.

    A consumer hands its fatal errors out once, in place of a message, and then without the mark.
    """
    return error.fatal() or error.code() == KafkaError._FATAL


def is_producer_lost(error: KafkaError) -> bool:
    """Whether the producer that reported `error` must be replaced before anything is sent."""
    return is_client_lost(error) or error.code() in _PRODUCER_LOST


def sasl_mechanism(settings: KafkaSettings) -> str:
    """What the password is for. Raises SettingsError when the file names none of MECHANISMS."""
    file = settings.mechanism_file
    said = read_secret(file)
    if said not in MECHANISMS:
        raise SettingsError(
            f"{file}: is none of {' and '.join(MECHANISMS)}; mount the Secret of the password there"
        )
    return said


def _common(settings: KafkaSettings, client_id: str) -> Config:
    return {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": client_id,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": sasl_mechanism(settings),
        "sasl.username": settings.username,
        "sasl.password": read_secret(settings.password_file),
        "ssl.ca.location": str(settings.ca_file),
        "ssl.endpoint.identification.algorithm": "https",
        # A broker that restarts is back in seconds: look for it often, but without a storm.
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 2000,
        "socket.keepalive.enable": True,
        "socket.connection.setup.timeout.ms": 5000,
        # An address that moved (a pod that came back) must not be remembered for long.
        "broker.address.ttl": 1000,
        "log.connection.close": False,
    }


def producer_config(settings: KafkaSettings, client_id: str, *, message_timeout_ms: int) -> Config:
    """A producer that keeps order and loses nothing it acknowledged.

    `message_timeout_ms` bounds how long a message can wait and be retried inside the client.
    murmur2_random is what the Java client and aiokafka do; librdkafka's own default (CRC32) would
    put one key on two partitions as soon as two kinds of client write to a topic.
    """
    return _common(settings, client_id) | {
        "acks": "all",
        "enable.idempotence": True,  # implies max.in.flight ≤ 5 with order kept under retry
        "partitioner": "murmur2_random",
        "message.timeout.ms": message_timeout_ms,
        "request.timeout.ms": min(message_timeout_ms, 30_000),
        # A topic that does not exist is reported before the message times out.
        "topic.metadata.propagation.max.ms": max(1, message_timeout_ms // 2),
        "linger.ms": 2,
        "batch.size": _BATCH_BYTES,
        "compression.type": "lz4",
        "message.max.bytes": 1_000_000,
        "retry.backoff.ms": 50,
        "allow.auto.create.topics": False,
    }


def consumer_config(
    settings: KafkaSettings,
    client_id: str,
    *,
    group_id: str,
    group_instance_id: str | None,
    session_timeout_ms: int,
) -> Config:
    """A consumer that commits only what it is told to and starts at the oldest message.

    With `group_instance_id` the member is static: it may restart within `session_timeout_ms`
    without a rebalance. The range assignor gives a member the same partition numbers of every
    topic, so that the events of one key, which lie in several topics, meet in one member.
    """
    config = _common(settings, client_id) | {
        "group.id": group_id,
        "partition.assignment.strategy": "range",
        "session.timeout.ms": session_timeout_ms,
        # A rebalance reaches a member with its next heartbeat.
        "heartbeat.interval.ms": min(2000, session_timeout_ms // 3),
        "max.poll.interval.ms": 300_000,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "fetch.wait.max.ms": 100,
        "queued.max.messages.kbytes": 16_384,  # per client: the pod's memory limit is small
        "allow.auto.create.topics": False,
        "enable.partition.eof": False,
    }
    if group_instance_id:
        config["group.instance.id"] = group_instance_id
    return config
