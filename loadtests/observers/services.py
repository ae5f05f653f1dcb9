"""The queue between accepted and stored, cache reads by source, ready pods: asked of the pods."""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from loadtests.documents.ways import ASYNC, SYNC, Way
from loadtests.observers.api import APPS, Pod, pods, scrape

FAILURES = (httpx.HTTPError,)
WATCHER = "ingest-service"
"""Measures the stream four times a second; its writers do so now and then."""
QUEUE, LAG = "ingest_stream_entries", "ingest_stream_lag"
DATABASE, NOTHING = "database", "none"
CACHES = frozenset({"local", "shared"})
"""Sources of reads that asked neither the database nor the stream for the document."""


@dataclass(frozen=True)
class ReadCounter:
    """Where a way counts its reads: ``sources`` are the label's values by our names for them."""

    workload: str
    name: str
    label: str
    sources: dict[str, str] = field(default_factory=dict[str, str])


READS = {
    ASYNC.target: ReadCounter("ingest-service", "ingest_reads_total", "source"),
    SYNC.target: ReadCounter(
        "rest-service",
        "cache_requests_total",
        "result",
        {"hit": "shared", "miss": DATABASE, "bypass": DATABASE},
    ),
}


@dataclass(frozen=True)
class Look:
    """What the services said at one moment; None is what none of them said."""

    at: float
    queue: float | None
    lag: float | None
    ready: dict[str, int] = field(default_factory=dict[str, int])


class Reads:
    """Reads by source since the first look, over pods that come, go and start again."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], float] = {}
        self.by_source: Counter[str] = Counter()

    def feed(self, counted: Mapping[tuple[str, str], float]) -> None:
        """Take in what each pod has counted, by pod and source.

        A pod that comes later began at zero, and one that counts less than before has begun again.
        """
        first = not self._before
        for key, value in counted.items():
            before = self._before.get(key, value if first else 0.0)
            grown = value - before if value >= before else value
            self.by_source[key[1]] += int(grown)
            self._before[key] = value


class Services:
    """Looks at the services' own metrics; without a way of documents, at which pods are ready."""

    def __init__(self, api: httpx.Client, way: Way | None) -> None:
        self.looks: list[Look] = []
        self.reads = Reads()
        self._api = api
        self._way = way

    def begin(self) -> None:
        """From here on reads count.

        Raises:
            httpx.HTTPError: the API or a pod did not answer.
        """
        self.look()
        self.reads.by_source.clear()

    def look(self) -> Look:
        """Once.

        Raises:
            httpx.HTTPError: the API or a pod did not answer.
        """
        found = pods(self._api)
        queue = lag = None
        if self._way is ASYNC:
            queue, lag = self._queue(found)
        self._count(found)
        ready = Counter(
            pod.workload
            for pod in found
            if pod.workload and pod.ready and pod.namespace != "kube-system"
        )
        look = Look(time.time(), queue, lag, dict(ready))
        self.looks.append(look)
        return look

    def _queue(self, found: list[Pod]) -> tuple[float | None, float | None]:
        # Every pod measures the same stream, each at a moment of its own, so the most counts.
        queue: list[float] = []
        lag: list[float] = []
        for pod in found:
            if pod.workload == WATCHER and pod.ready:
                for sample in scrape(self._api, pod, ("ingest_stream_",)):
                    if sample.name == QUEUE:
                        queue.append(sample.value)
                    elif sample.name == LAG:
                        lag.append(sample.value)
        return max(queue, default=None), max(lag, default=None)

    def _count(self, found: list[Pod]) -> None:
        if self._way is None:
            return
        counter = READS[self._way.target]
        counted: defaultdict[tuple[str, str], float] = defaultdict(float)
        for pod in found:
            if pod.namespace == APPS and pod.workload == counter.workload and pod.ready:
                for sample in scrape(self._api, pod, (counter.name,)):
                    if sample.name == counter.name:
                        told = sample.labels[counter.label]
                        counted[pod.name, counter.sources.get(told, told)] += sample.value
        self.reads.feed(counted)
