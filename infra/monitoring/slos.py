"""What the services promise: service level objectives, one typed list for each service's package.

Everything else (windows, alerts, budgets, OpenSLO) follows from these records.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from infra.model.records import RECORDS, Records
from infra.model.services import Service
from infra.monitoring.indicators import Answered, Below, Called, Example, Indicator, Kind, Within

PERIOD_DAYS: Final = 30
"""What a budget is for. Where Prometheus keeps less, it is reckoned from what it keeps."""


@dataclass(frozen=True)
class Promise:
    """So large a share of the indicator's events is good."""

    indicator: Indicator
    target: float


@dataclass(frozen=True)
class Slo:
    """A promise of one service."""

    service: str
    promise: Promise

    @property
    def name(self) -> str:
        return f"{self.service}-{self.kind}"

    @property
    def kind(self) -> Kind:
        return self.promise.indicator.kind

    @property
    def target(self) -> float:
        return self.promise.target

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return 1 - self.target

    @property
    def labels(self) -> Mapping[str, str]:
        return {"slo": self.name, "kind": self.kind, "job": self.service}

    @property
    def said(self) -> str:
        """As a sentence."""
        return f"{self.target * 100:g} % of {self.promise.indicator.promise}"

    @property
    def bad(self) -> str:
        return self.promise.indicator.bad(self.service)

    @property
    def total(self) -> str:
        return self.promise.indicator.total(self.service)

    @property
    def example(self) -> Example:
        return self.promise.indicator.example(self.service)


def _requests(seconds: float) -> Within:
    return Within(seconds, "http_request_duration_seconds", "latency", "requests are answered")


_HTTP: Final = (Promise(Answered(), 0.999), Promise(_requests(0.5), 0.95))

_GRPC: Final = (
    Promise(Called(), 0.999),
    Promise(Within(0.5, "grpc_server_handling_seconds", "latency", "calls are answered"), 0.95),
)

_CONSUMED: Final = (
    Promise(
        # Messages tell no age: what waits, at the pace of the last five minutes.
        Below(
            30,
            "sum by (job) (kafka_consumer_lag{%s})"
            " / sum by (job) (rate(kafka_consumer_messages_consumed_total{%s}[5m]))",
            "at the present pace, messages that wait are processed within",
            {
                'kafka_consumer_lag{job="%s", topic="t", partition="0"}': "3100x10",
                'kafka_consumer_messages_consumed_total{job="%s", topic="t"}': "0+6000x10",
            },
        ),
        0.99,
    ),
)

PROMISES: Final[Mapping[str, tuple[Promise, ...]]] = {
    "rest_service": _HTTP,
    # 202 is said once a document is on a disk, with thousands of others: two seconds is the target
    # of the load tests at ten thousand users.
    "ingest_service": (Promise(Answered(), 0.999), Promise(_requests(2.0), 0.95)),
    "auth_service": _HTTP,
    "outbox_relay": (
        Promise(
            Below(
                30,
                "max by (job) (outbox_oldest_unsent_age_seconds{%s})",
                "the oldest event that waits to be published is old by",
                {'outbox_oldest_unsent_age_seconds{job="%s", pod="a"}': "31x10"},
            ),
            0.99,
        ),
    ),
    "stream_writer": (
        Promise(
            Below(
                30,
                "max by (job) (stream_oldest_entry_age_seconds{%s})",
                "the oldest document that waits to be stored is old by",
                {'stream_oldest_entry_age_seconds{job="%s", pod="a"}': "31x10"},
            ),
            0.99,
        ),
    ),
    "event_worker": (
        Promise(Within(10, "inbox_event_age_seconds", "freshness", "events take effect"), 0.99),
    ),
    "cpu_writer": (
        Promise(Within(10, "cpu_writer_write_seconds", "freshness", "rollups are written"), 0.99),
    ),
}
"""Package to what each service that runs it promises, where that is not the usual."""


def promised(service: Service) -> tuple[Promise, ...]:
    """What the service promises. One that nobody wrote anything for promises what all do that are
    reached from outside, as every service counts its requests or calls, or that consume."""
    outside = {port.protocol for port in service.ports if port.entry}
    usual = (
        *(_HTTP if "http" in outside else ()),
        *(_GRPC if "grpc" in outside else ()),
        *(_CONSUMED if service.consumes else ()),
    )
    return PROMISES.get(service.package, usual)


def slos(records: Records = RECORDS) -> tuple[Slo, ...]:
    """Every objective of the platform."""
    return tuple(
        Slo(service.name, promise) for service in records.services for promise in promised(service)
    )
