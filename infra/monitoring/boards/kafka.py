"""The board of Kafka: its brokers, its topics, and who is behind."""

from infra.monitoring.boards import shared
from infra.monitoring.boards.board import WINDOW, Board, Panel, Query, Row, Threshold, Unit
from infra.monitoring.boards.consumer import BEHIND
from infra.monitoring.boards.promql import or_zero, rate, series, total


def board() -> Board:
    return Board(
        slug="kafka",
        title="Kafka and lag",
        explains="Whether every message has its copies, how much flows, and who is behind.",
        rows=(_now(), _lag(), _topics(), _broker(), shared.containers("kafka")),
    )


def _count(title: str, expr: str, explains: str, limit: Threshold) -> Panel:
    return Panel(
        title,
        Unit.COUNT,
        (Query(expr, title.lower()),),
        explains,
        kind="stat",
        thresholds=(limit,),
        width=3,
    )


def _now() -> Row:
    one = Threshold(1, "critical")
    return Row(
        "Now",
        (
            _count(
                "Controllers that lead",
                total("kafka_controller_kafkacontroller_activecontrollercount"),
                "Exactly one leads; none, and nothing in the cluster can change.",
                Threshold(1, "critical", below=True),
            ),
            _count(
                "Partitions without a leader",
                "max(kafka_controller_kafkacontroller_offlinepartitionscount)",
                "They take nothing and give nothing.",
                one,
            ),
            _count(
                "Too few copies for writes",
                total("kafka_server_replicamanager_underminisrpartitioncount"),
                "Partitions that refuse what producers send.",
                one,
            ),
            _count(
                "Copies missing",
                total("kafka_server_replicamanager_underreplicatedpartitions"),
                "Partitions with fewer copies in sync than they should have.",
                Threshold(1, "warning"),
            ),
        ),
    )


def _lag() -> Row:
    return Row(
        "Who is behind",
        (
            Panel(
                "Behind, by consumer",
                Unit.COUNT,
                (Query(total("kafka_consumer_lag", ("job",)), "{{job}}"),),
                "Messages in the log that are not handled yet; 10,000 are an alert.",
                thresholds=(Threshold(BEHIND, "critical"),),
            ),
            Panel(
                "Behind, by topic",
                Unit.COUNT,
                (Query(total("kafka_consumer_lag", ("job", "topic")), "{{job}} {{topic}}"),),
                "The same for each topic.",
                thresholds=(Threshold(BEHIND, "critical"),),
            ),
            Panel(
                "At this pace caught up in",
                Unit.SECONDS,
                (
                    Query(
                        total("kafka_consumer_lag", ("job",))
                        + " / ("
                        + rate("kafka_consumer_messages_consumed_total", ("job",))
                        + " > 0)",
                        "{{job}}",
                    ),
                ),
                "What waits, by the speed at which it is handled.",
                quiet="nobody consumes anything",
            ),
            Panel(
                "Handled",
                Unit.PER_SECOND,
                (Query(rate("kafka_consumer_messages_consumed_total", ("job",)), "{{job}}"),),
                "Messages whose handling is over.",
                kind="areas",
                width=6,
                quiet="no message has come since the consumers started",
            ),
            Panel(
                "Rebalances",
                Unit.COUNT,
                (
                    Query(
                        f"sum by (job, kind) (increase(kafka_consumer_rebalances_total[{WINDOW}]))",
                        "{{job}} {{kind}}",
                    ),
                ),
                "Partitions handed on; a rollout does that, and so does whoever comes and goes.",
                width=6,
                quiet="no partition has moved",
            ),
        ),
    )


def _topics() -> Row:
    quiet = "no broker has had a message since it started"
    return Row(
        "Topics",
        (
            Panel(
                "Messages in",
                Unit.PER_SECOND,
                (
                    Query(
                        rate("kafka_server_brokertopicmetrics_messagesin_total", ("topic",)),
                        "{{topic}}",
                    ),
                ),
                "Written by producers.",
                kind="areas",
                quiet=quiet,
            ),
            Panel(
                "Bytes in and out",
                Unit.BYTES_PER_SECOND,
                (
                    Query(rate("kafka_server_brokertopicmetrics_bytesin_total"), "in"),
                    Query(rate("kafka_server_brokertopicmetrics_bytesout_total"), "out"),
                ),
                "To and from clients; copies among brokers aside.",
                quiet=quiet,
            ),
            Panel(
                "Size on disk",
                Unit.BYTES,
                (Query(total("kafka_log_log_size_bytes", ("topic",)), "{{topic}}"),),
                "Of all copies.",
                kind="areas",
            ),
        ),
    )


def _broker() -> Row:
    slowest = series("kafka_network_requestmetrics_totaltime_seconds", quantile="0.99")
    return Row(
        "Brokers",
        (
            Panel(
                "Requests, p99",
                Unit.SECONDS,
                (
                    Query(
                        f"max by (request) ({slowest})",
                        "{{request}}",
                    ),
                ),
                "Time in the broker; a fetch waits for messages, by design up to half a second.",
            ),
            Panel(
                "Idle",
                Unit.RATIO,
                (
                    Query(
                        "min(kafka_network_socketserver_networkprocessoravgidle_ratio)",
                        "network threads",
                    ),
                    Query(
                        "min(kafka_server_kafkarequesthandlerpool_requesthandleravgidle_ratio)",
                        "request handlers",
                    ),
                ),
                "Share of their time with nothing to do. Below 30 % clients begin to wait.",
                thresholds=(Threshold(0.3, "warning", below=True),),
                most=1,
            ),
            Panel(
                "Refused",
                Unit.PER_SECOND,
                (
                    Query(
                        or_zero(
                            rate("kafka_server_brokertopicmetrics_failedproducerequests_total")
                        ),
                        "of producers",
                    ),
                    Query(
                        or_zero(rate("kafka_server_brokertopicmetrics_failedfetchrequests_total")),
                        "of consumers",
                    ),
                ),
                "Requests that a broker answered with an error.",
            ),
            Panel(
                "Java's memory",
                Unit.BYTES,
                (Query('sum by (area) (jvm_memory_used_bytes{job="kafka"})', "{{area}}"),),
                "In use of the heap, and beside it.",
                width=6,
            ),
            Panel(
                "Collecting garbage",
                Unit.RATIO,
                (
                    Query(
                        f'sum by (pod) (rate(jvm_gc_collection_seconds_sum{{job="kafka"}}'
                        f"[{WINDOW}]))",
                        "{{pod}}",
                    ),
                ),
                "Share of the time that all else stands still.",
                thresholds=(Threshold(0.1, "warning"),),
                width=6,
            ),
        ),
    )
