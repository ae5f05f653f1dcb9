"""What a load run has to reach: the one table of targets.

A row for every endpoint and way to the store, a column for every environment. The same numbers hold
for both ways of documents: the synchronous one is there to show with how many users it no longer
keeps them. They hold for points as well, whose table is no constrained store.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from loadtests.target import Target
from loadtests.verdict.limits import Limit

FEWEST_SAMPLES: Final = 20
"""Of an endpoint, however short the run. With fewer, the p95 is nothing but the slowest request."""

LEAST_OF_SHARE: Final = 0.5
"""How much of its share of the requests an endpoint must get. Users choose at random what they do,
and half is out of reach of chance; a user who leaves a step out is not."""


@dataclass(frozen=True)
class Latency:
    """Of an endpoint: exact percentiles over the whole run, in milliseconds."""

    p50: Limit
    p95: Limit
    p99: Limit


@dataclass(frozen=True)
class Column:
    """The limits of one environment that do not differ by endpoint."""

    latency: Latency
    failures: Limit
    """Share of an endpoint's requests."""


@dataclass(frozen=True)
class EndpointTarget:
    """What one endpoint has to reach."""

    name: str
    share: float
    """Of all requests, by what users do (`loadtests/generator`)."""
    must: Column
    aim: Column


@dataclass(frozen=True)
class Targets:
    """What a run against one environment, one way to the store, has to reach. None is no target.

    The ledger needs no numbers: nothing lost, nothing stale, nothing that nobody wrote, and a
    queue that gets empty.
    """

    stack: str
    target: Target
    endpoints: tuple[EndpointTarget, ...]
    cache_hits: Limit | None
    cache_hits_aim: Limit | None
    commits: Limit | None
    flushes: Limit | None
    requests: Limit
    """Sent, as a share of what the users who were there stand for, each with one request every
    pace. Below, users waited longer than their pace, and there was not the load that the run
    says."""


def _column(p50: float, p95: float, p99: float, failures: Limit) -> Column:
    return Column(
        Latency(Limit("≤", p50, "ms"), Limit("≤", p95, "ms"), Limit("≤", p99, "ms")), failures
    )


_BELOW_ONE_PERCENT = Limit("<", 0.01, "%")
_NONE = Limit("≤", 0.0, "%")

_ONE_MACHINE = _column(p50=1_000, p95=2_000, p99=5_000, failures=_BELOW_ONE_PERCENT)
"""Generator and platform on the same cores."""
_ONE_MACHINE_AIM = _column(p50=250, p95=500, p99=1_250, failures=_NONE)

_CLUSTER = _column(p50=250, p95=500, p99=1_250, failures=_BELOW_ONE_PERCENT)
"""Nodes of their own, generators elsewhere: what is an aim on one machine is due here."""
_CLUSTER_AIM = _column(p50=100, p95=250, p99=500, failures=_NONE)

COLUMNS: Final = MappingProxyType(
    {
        "airgap": (_ONE_MACHINE, _ONE_MACHINE_AIM),
        "dev": (_ONE_MACHINE, _ONE_MACHINE_AIM),
        "prod": (_CLUSTER, _CLUSTER_AIM),
    }
)
"""By environment: what must be, and what is aimed at and only reported."""

ROWS: Final[MappingProxyType[Target, MappingProxyType[str, float]]] = MappingProxyType(
    {
        "async": MappingProxyType(
            {"POST /api/data": 0.3, "GET /api/data/{id}": 0.65, "GET /api/data": 0.05}
        ),
        "sync": MappingProxyType({"POST /data": 0.3, "GET /data/{id}": 0.65, "GET /data": 0.05}),
        "telemetry": MappingProxyType(
            {
                "POST /api/v1/telemetry": 0.6,
                "GET /api/v1/telemetry": 0.35,
                "GET /api/v1/telemetry/rollups": 0.05,
            }
        ),
    }
)
"""By way to the store: its endpoints, and the share of the requests that each gets."""


def targets_for(stack: str, target: Target) -> Targets:
    """The targets of one environment and one way to the store.

    Raises:
        ValueError: there are none; a run without targets could only pass.
    """
    if stack not in COLUMNS:
        known = ", ".join(sorted(COLUMNS))
        raise ValueError(
            f"there are no load targets for stack {stack!r}, only for {known}: give it a column "
            "in loadtests/verdict/targets.py"
        )
    must, aim = COLUMNS[stack]
    of_documents = target != "telemetry"
    return Targets(
        stack=stack,
        target=target,
        endpoints=tuple(
            EndpointTarget(name, share, must, aim) for name, share in ROWS[target].items()
        ),
        cache_hits=Limit(">", 0.95, "%") if of_documents else None,
        cache_hits_aim=Limit(">", 0.99, "%") if of_documents else None,
        commits=Limit("≤", 100, "/s") if of_documents else None,
        flushes=Limit("≤", 100, "/s") if of_documents else None,
        requests=Limit("≥", 0.9, "%"),
    )
