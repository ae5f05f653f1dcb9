"""What objectives count: events, and which of them are bad, as PromQL.

Each indicator says how many events there are per second, over five minutes, and how many of them
are bad. Where events do not tell (one that waits tells nothing), moments are counted instead: one
is bad when a level is too high.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from infra.monitoring.forms import series

Kind = Literal["availability", "latency", "freshness"]


CLIENTS: Final = 'route!~"/health|/ready|/metrics"'
"""Of requests those of clients: where few come, the cluster's probes would be most of what is
counted, and none of them has a client that was kept waiting."""
FOR_TOOLS: Final = "grpc.health.+|grpc.reflection.+"
"""Services on every gRPC server that no client has come for."""
CALLS: Final = f'grpc_service!~"{FOR_TOOLS}"'
"""Of calls by gRPC those of clients."""
ANSWERED_ONCE: Final = f'{CALLS}, grpc_type!~".+_stream"'
"""Of these, calls with one answer. How long a stream lasts is for its client to say."""
_STREAMED: Final = f'{CALLS}, grpc_type=~".+_stream"'
_BROKEN: Final = ("UNKNOWN", "INTERNAL", "DATA_LOSS")
"""A fault of the code, however it shows: nobody ends a call with one of these on purpose."""
_NOT_SERVED: Final = ("DEADLINE_EXCEEDED", "UNAVAILABLE")
"""What HTTP calls 504 and 503. At a deadline the client has nothing, and most often because we were
slow; if it were left out, a database that stands still would fail nobody. A stream ends with either
when all is well: with UNAVAILABLE once it was served for long enough, or when its server stops.

All other codes are the client's doing: also RESOURCE_EXHAUSTED, as for who calls too often or sends
too much, and UNIMPLEMENTED, as every method of a contract is served, or its server does not start.
"""
_OF_CLIENTS: Final = {"http_": CLIENTS, "grpc_": ANSWERED_ONCE}
"""What a histogram's name begins with, to those of its events that count."""


def failed_calls(window: str, matchers: str = "") -> str:
    """PromQL: calls per second that ended with a fault of the service, by all labels."""
    more = f", {matchers}" if matchers else ""
    return " or ".join(
        f'rate(grpc_server_handled_total{{{of}{more}, grpc_code=~"{"|".join(codes)}"}}[{window}])'
        for of, codes in ((ANSWERED_ONCE, _BROKEN + _NOT_SERVED), (_STREAMED, _BROKEN))
    )


@dataclass(frozen=True)
class Example:
    """Series of ten minutes, and what the indicator makes of them, per second."""

    series: Mapping[str, str]
    bad: float
    total: float


class Indicator(Protocol):
    """What is counted."""

    @property
    def kind(self) -> Kind: ...
    @property
    def promise(self) -> str:
        """The end of "99 % of …"."""
        ...

    def bad(self, job: str) -> str: ...
    def total(self, job: str) -> str: ...
    def example(self, job: str) -> Example: ...


@dataclass(frozen=True)
class Answered:
    """Requests that are answered, whatever the answer, but not with a fault of ours (5xx)."""

    kind: Kind = "availability"
    promise: str = "requests are answered without a fault of the service (no 5xx)"

    def bad(self, job: str) -> str:
        # A service that never failed has no such series, which is no failure and not no data.
        of = f'job="{job}", {CLIENTS}, status=~"5.."'
        failed = f"sum by (job) (rate(http_requests_total{{{of}}}[5m]))"
        return f"{failed} or {self.total(job)} * 0"

    def total(self, job: str) -> str:
        return f'sum by (job) (rate(http_requests_total{{job="{job}", {CLIENTS}}}[5m]))'

    def example(self, job: str) -> Example:
        here = {"job": job, "method": "GET", "route": "/"}
        return Example(
            {
                series("http_requests_total", **here, status="200"): "0+57x10",
                series("http_requests_total", **here, status="503"): "0+3x10",
            },
            bad=3 / 60,
            total=1,
        )


@dataclass(frozen=True)
class Called:
    """Calls by gRPC that are answered, whatever the answer, but not with a fault of ours."""

    kind: Kind = "availability"
    promise: str = "calls are answered without a fault of the service"

    def bad(self, job: str) -> str:
        of = f'job="{job}"'
        return f"sum by (job) ({failed_calls('5m', of)}) or {self.total(job)} * 0"

    def total(self, job: str) -> str:
        return f'sum by (job) (rate(grpc_server_handled_total{{job="{job}", {CALLS}}}[5m]))'

    def example(self, job: str) -> Example:
        def ended(code: str, kind: str = "unary", of: str = "some.v1.Service") -> str:
            here = {"job": job, "grpc_service": of, "grpc_type": kind, "grpc_code": code}
            return series("grpc_server_handled_total", **here)

        return Example(
            {
                ended("OK"): "0+42x10",
                ended("NOT_FOUND"): "0+9x10",
                ended("UNAVAILABLE"): "0+3x10",
                ended("DEADLINE_EXCEEDED"): "0+2x10",
                ended("UNAVAILABLE", "server_stream"): "0+3x10",
                ended("INTERNAL", "server_stream"): "0+1x10",
                ended("UNAVAILABLE", of="grpc.health.v1.Health"): "0+30x10",
            },
            bad=6 / 60,
            total=1,
        )


@dataclass(frozen=True)
class Within:
    """Events of a histogram that took no longer than one of its buckets says."""

    seconds: float
    """An upper bound of the histogram, or nothing would be counted."""
    histogram: str
    kind: Kind
    what: str

    @property
    def promise(self) -> str:
        return f"{self.what} within {self.seconds:g} s"

    def bad(self, job: str) -> str:
        # As the client library writes it; Prometheus 3 makes the same of others' ways.
        good = f'{self.histogram}_bucket{{{self._of(job)}, le="{float(self.seconds)}"}}'
        return f"{self.total(job)} - sum by (job) (rate({good}[5m]))"

    def total(self, job: str) -> str:
        return f"sum by (job) (rate({self.histogram}_count{{{self._of(job)}}}[5m]))"

    def _of(self, job: str) -> str:
        clients = [of for begin, of in _OF_CLIENTS.items() if self.histogram.startswith(begin)]
        return ", ".join((f'job="{job}"', *clients))

    def example(self, job: str) -> Example:
        return Example(
            {
                series(f"{self.histogram}_count", job=job): "0+60x10",
                series(f"{self.histogram}_bucket", job=job, le=str(float(self.seconds))): "0+45x10",
            },
            bad=15 / 60,
            total=1,
        )


@dataclass(frozen=True)
class Below:
    """Moments at which a level, such as the age of the oldest event that waits, is no higher."""

    seconds: float
    level: str
    """PromQL with a value per job; `%s` stands for the job's matcher."""
    what: str
    too_high: Mapping[str, str]
    """Series at which it is; `%s` stands for the job."""
    kind: Kind = "freshness"

    @property
    def promise(self) -> str:
        return f"moments, {self.what} {self.seconds:g} s at most"

    def _level(self, job: str) -> str:
        return self.level.replace("%s", f'job="{job}"')

    def bad(self, job: str) -> str:
        return f"({self._level(job)}) > bool {self.seconds:g}"

    def total(self, job: str) -> str:
        # One, as long as the level is known at all.
        return f"count by (job) ({self._level(job)})"

    def example(self, job: str) -> Example:
        return Example({k.replace("%s", job): v for k, v in self.too_high.items()}, bad=1, total=1)
