"""Who decides in Kafka: whether its controllers have a leader."""

from typing import Final

from infra.monitoring.forms import Alert, Case, Implied, Said, series

_LEADS: Final = "kafka_controller_kafkacontroller_activecontrollercount"
_CONTROLLERS: Final = ".+-controller-[0-9]+"
"""Pods that are controllers and no brokers; in smaller stacks brokers are controllers, too."""


def _leads(*values: str) -> dict[str, str]:
    return {
        series(_LEADS, job="kafka", pod=f"kafka-controller-{number}"): each
        for number, each in enumerate(values)
    }


def _answer(controllers: str, broker: str) -> dict[str, str]:
    of = {"job": "kafka", "namespace": "data"}
    return {
        series("up", **of, pod="kafka-controller-0"): controllers,
        series("up", **of, pod="kafka-controller-1"): controllers,
        series("up", **of, pod="kafka-0"): broker,
    }


def _ready(count: int) -> dict[str, str]:
    of = {"job": "kafka-controller", "namespace": "data"}
    return {series("k8s_statefulset_ready_pods", **of): f"{count}x9"}


_SAID: Final = (Said({"job": "kafka"}, "kafka has no active controller"),)

NO_CONTROLLER: Final = Alert(
    "KafkaNoController",
    f"max by (job) ({_LEADS}) == 0"
    # Or all are gone, and none is left to say so; if they are ready, only their agents are away.
    f' or max by (job) (up{{namespace="data", pod=~"{_CONTROLLERS}"}}) == 0'
    " unless on (job) label_replace("
    'k8s_statefulset_ready_pods{namespace="data", job=~".+-controller"} > 0,'
    ' "job", "$1", "job", "(.+)-controller")',
    severity="page",
    # Of the cluster's own: who produces and consumes does not notice, as long as brokers stay.
    layer="symptom",
    owner="data",
    pending="1m",
    summary="{{ $labels.job }} has no active controller",
    description=(
        "Brokers go on with what they lead. But nobody replaces one that fails, none can come back,"
        " and topics, accounts and replicas in sync stay as they are."
    ),
    implied=(Implied("ServerDown"),),
    cases=(
        # Of three the one that is left cannot decide alone.
        Case(_leads("1 0x9", "0x3 stale", "0x3 stale"), "5m", _SAID),
        Case({**_answer("1 0x9", "1x9"), **_ready(0)}, "5m", _SAID),
        Case(_answer("1 0x9", "1x9"), "5m", _SAID),
        # Another one leads after the first.
        Case(_leads("1 1 0x9", "0 0 1x9", "0x9"), "5m"),
        Case(_answer("1x9", "0x9"), "5m"),
        Case({**_answer("0x9", "1x9"), **_ready(2)}, "5m"),
    ),
)
