"""What the JMX agent in a Kafka broker tells: from its beans to Prometheus' names, and no more.

A broker has thousands of beans, most of them per client or per topic; each scrape would read all.
Names follow the beans' (domain, type, name), as the agent's own examples make them, with the unit
where there is one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal


@dataclass(frozen=True)
class Rule:
    """One of the agent's rules; groups of `pattern` are `$1`, `$2` in labels."""

    name: str
    kind: Literal["COUNTER", "GAUGE"]
    help: str
    pattern: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    factor: float = 1.0


def _topic(name: str, bean: str, text: str) -> Rule:
    pattern = f"kafka.server<type=BrokerTopicMetrics, name={bean}, topic=(.+)><>Count"
    return Rule(name, "COUNTER", text, pattern, {"topic": "$1"})


def _value(name: str, bean: str, text: str) -> Rule:
    return Rule(name, "GAUGE", text, f"{bean}><>Value")


def _slowest(request: str) -> Rule:
    return Rule(
        "kafka_network_requestmetrics_totaltime_seconds",
        "GAUGE",
        "Time of requests in the broker, by request and quantile.",
        f"kafka.network<type=RequestMetrics, name=TotalTimeMs, request=({request})>"
        "<>99thPercentile",
        {"request": "$1", "quantile": "0.99"},
        factor=0.001,
    )


_REPLICAS: Final = "kafka.server<type=ReplicaManager, name="
_OF_TOPICS: Final = (
    *("MessagesInPerSec", "BytesInPerSec", "BytesOutPerSec"),
    *("FailedProduceRequestsPerSec", "FailedFetchRequestsPerSec"),
)
_CONTROLLER: Final = "kafka.controller<type=KafkaController, name="

RULES: Final = (
    _topic(
        "kafka_server_brokertopicmetrics_messagesin_total",
        "MessagesInPerSec",
        "Messages, by topic.",
    ),
    _topic(
        "kafka_server_brokertopicmetrics_bytesin_total",
        "BytesInPerSec",
        "Bytes of producers, by topic.",
    ),
    _topic(
        "kafka_server_brokertopicmetrics_bytesout_total",
        "BytesOutPerSec",
        "Bytes to consumers, by topic.",
    ),
    _topic(
        "kafka_server_brokertopicmetrics_failedproducerequests_total",
        "FailedProduceRequestsPerSec",
        "Produce requests that were refused, by topic.",
    ),
    _topic(
        "kafka_server_brokertopicmetrics_failedfetchrequests_total",
        "FailedFetchRequestsPerSec",
        "Fetch requests that were refused, by topic.",
    ),
    _value(
        "kafka_server_replicamanager_underreplicatedpartitions",
        f"{_REPLICAS}UnderReplicatedPartitions",
        "Partitions it leads that have fewer copies in sync than they should.",
    ),
    _value(
        "kafka_server_replicamanager_underminisrpartitioncount",
        f"{_REPLICAS}UnderMinIsrPartitionCount",
        "Partitions it leads that take no writes, as too few copies are in sync.",
    ),
    _value(
        "kafka_controller_kafkacontroller_activecontrollercount",
        f"{_CONTROLLER}ActiveControllerCount",
        "1 in the controller that leads.",
    ),
    _value(
        "kafka_controller_kafkacontroller_offlinepartitionscount",
        f"{_CONTROLLER}OfflinePartitionsCount",
        "Partitions without a leader.",
    ),
    _value(
        "kafka_network_socketserver_networkprocessoravgidle_ratio",
        "kafka.network<type=SocketServer, name=NetworkProcessorAvgIdlePercent",
        "Share of their time that network threads have nothing to do.",
    ),
    Rule(
        "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_ratio",
        "GAUGE",
        "Share of their time that request handlers have nothing to do.",
        "kafka.server<type=KafkaRequestHandlerPool, name=RequestHandlerAvgIdlePercent>"
        "<>OneMinuteRate",
    ),
    _slowest("Produce|FetchConsumer"),
    Rule(
        "kafka_log_log_size_bytes",
        "GAUGE",
        "Size of a partition's log.",
        "kafka.log<type=Log, name=Size, topic=(.+), partition=(.+)><>Value",
        {"topic": "$1", "partition": "$2"},
    ),
)
NAMES: Final = frozenset(rule.name for rule in RULES)


def configuration() -> str:
    """The agent's configuration file; JSON, which is YAML too."""
    return json.dumps(
        {
            "startDelaySeconds": 0,
            "includeObjectNames": [
                *(f"kafka.server:type=BrokerTopicMetrics,name={bean},*" for bean in _OF_TOPICS),
                "kafka.server:type=ReplicaManager,name=UnderMinIsrPartitionCount",
                "kafka.server:type=ReplicaManager,name=UnderReplicatedPartitions",
                "kafka.server:type=KafkaRequestHandlerPool,name=RequestHandlerAvgIdlePercent",
                "kafka.controller:type=KafkaController,name=ActiveControllerCount",
                "kafka.controller:type=KafkaController,name=OfflinePartitionsCount",
                "kafka.network:type=RequestMetrics,name=TotalTimeMs,*",
                "kafka.network:type=SocketServer,name=NetworkProcessorAvgIdlePercent",
                "kafka.log:type=Log,name=Size,*",
            ],
            "rules": [_as_written(rule) for rule in RULES],
        },
        indent=2,
    )


def _as_written(rule: Rule) -> dict[str, Any]:
    written: dict[str, Any] = {
        "pattern": rule.pattern,
        "name": rule.name,
        "type": rule.kind,
        "help": rule.help,
    }
    if rule.labels:
        written["labels"] = dict(rule.labels)
    if rule.factor != 1.0:
        written["valueFactor"] = rule.factor
    return written
