"""The results of one load run, as they are judged, reported, saved and compared.

Plain data: who ran the load fills it in, the gate and the report read it, and its JSON is the
file that a later run is compared with. Latencies are milliseconds, rates are per second, processor
time is cores (1.0 is one core fully used).
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from loadtests.target import Target


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Latencies(_Result):
    """Exact nearest-rank percentiles: made from every sample, never from buckets."""

    p50: float
    p90: float
    p95: float
    p99: float
    p999: float
    mean: float
    max: float


class Endpoint(_Result):
    """All requests of one kind, like `POST /api/data`, over one stretch of the run."""

    name: str
    requests: int
    failures: int
    reasons: dict[str, int] = Field(default_factory=dict[str, int])
    """Why requests failed, with how many; the texts name status and problem, never an id."""
    latencies: Latencies | None
    """Of all requests, failed ones included; None when there was no request at all."""


class Point(_Result):
    """One second or a few of the run, for the charts."""

    at: float
    """Seconds since the run began."""
    users: int
    requests: float
    """Per second."""
    failures: float
    """Per second."""
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    queue: float | None = None
    """Documents accepted and not stored yet. None in this and below: not measured."""
    lag: float | None = None
    """Of these, the ones no writer has taken."""
    commits: float | None = None
    """Of the store, per second, by its own counter."""
    flushes: float | None = None
    """Of the store's log, per second, by its own counter."""
    cpu: dict[str, float] = Field(default_factory=dict[str, float])
    """Cores by group of processes: `load generator`, a workload's name, …"""
    pods: dict[str, int] = Field(default_factory=dict[str, int])
    """Ready pods by workload."""


class Store(_Result):
    """What the constrained store did during the run, by its own counters before and after."""

    seconds: float
    commits: int
    flushes: int
    """WAL flushes to disk."""
    rows: int
    """Documents inserted or updated."""


class Cache(_Result):
    """Reads of one document, by where they were answered from."""

    by_source: dict[str, int]
    """`pending` (accepted, or stored a moment ago), `local`, `shared`, `database`, `none`."""
    hits: int
    """Answered without the database. Reads of what is not there (`none`) are no hits."""
    reads: int

    @property
    def hit_rate(self) -> float | None:
        """0 to 1; None when nothing was read."""
        return self.hits / self.reads if self.reads else None


class Books(_Result):
    """The ledger of the documents, or points, closed after the queue was empty."""

    acknowledged: int
    """Writes that were answered with success."""
    documents: int
    """Different ids, or keys of points, among them."""
    refused: int
    """Writes that certainly did not happen."""
    unknown: int
    """Writes whose answer never came: both outcomes are allowed."""
    seconds_to_empty: float | None
    """From the last request to the empty queue; None: it did not get empty in time."""
    missing: int
    """Acknowledged ids that are not stored."""
    stale: int
    """Acknowledged ids that are stored with an older value than the last acknowledged one."""
    never_written: int
    """Rows of this run that no write explains."""
    examples: tuple[str, ...] = ()
    """A few of the wrong ones, each a sentence."""


class Served(_Result):
    """What one service says of what it was asked, by whomever."""

    requests: float
    """Per second, probes aside."""
    failed: float | None = None
    """Share answered with 5xx."""
    p95: float | None = None
    """Milliseconds, of its histogram: between two of its bounds it is a guess."""


class Container(_Result):
    """What the containers of one name took, wherever they ran."""

    cores: float = 0.0
    """Mean over the run."""
    memory_mib: float = 0.0
    """The most at one moment, together."""


class Monitored(_Result):
    """What Prometheus saw of the run. It looks every 30 s: the last ones may be missing."""

    missing: str = ""
    """Why there is nothing."""
    services: dict[str, Served] = Field(default_factory=dict[str, Served])
    containers: dict[str, Container] = Field(default_factory=dict[str, Container])
    lag: dict[str, float] = Field(default_factory=dict[str, float])
    """The most messages that a consumer had not handled yet."""
    oldest: dict[str, float] = Field(default_factory=dict[str, float])
    """The longest that an event in an outbox had waited, in seconds."""
    burnt: dict[str, float] = Field(default_factory=dict[str, float])
    """Share of the error budget of a whole period, by objective, where it was any."""
    alerts: tuple[str, ...] = ()
    """That fired, each a sentence; pages and tickets."""


class Asked(_Result):
    """What the one who started the run chose, beside what the run itself holds; by the same names
    as on the command line."""

    flow: str
    seconds: float
    """How long the shape held its users."""
    rate: float
    """Most users that came in each second."""
    workers: int
    """Processes, on the cluster pods, that the users were spread over."""
    where: Literal["machine", "cluster"]
    """Where these ran."""


class Machine(_Result):
    """Where the run was started: of the load generator it held everything, or on the cluster only
    the one who looks on."""

    cores: int
    memory_gib: float
    kernel: str
    load_before: float
    """Load average over one minute when the run began."""
    others: tuple[str, ...] = ()
    """What else ran, a line each."""


class Run(_Result):
    """One load run."""

    stack: str
    target: Target
    """`async`: /api/data over the stream. `sync`: /data, straight to the same store. `telemetry`:
    points of devices."""
    shape: str
    users: int
    pace: float
    """Seconds between two requests of a user, begin to begin."""
    asked: Asked | None = None
    """None: not known, in runs that were kept before it was written down."""
    started_at: str
    """RFC 3339, UTC."""
    revision: str
    """Of the checkout, with `+` when it had changes."""
    seconds: float
    """From the first request to the last answer, ramp included."""
    machine: Machine
    endpoints: tuple[Endpoint, ...]
    """The whole run, from the first request on. What the gate reads."""
    steady: tuple[Endpoint, ...] = ()
    """Only while all users were there."""
    points: tuple[Point, ...] = ()
    cpu: dict[str, float] = Field(default_factory=dict[str, float])
    """Cores by group of processes, mean over the run."""
    store: Store | None = None
    cache: Cache | None = None
    books: Books | None = None
    monitored: Monitored | None = None
    """None: nobody asked, as in runs that were kept before there was a Prometheus."""

    @property
    def requests(self) -> int:
        return sum(endpoint.requests for endpoint in self.endpoints)
