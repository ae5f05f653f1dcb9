"""All observers of a run together."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType

import psutil

from bootstrap.kube import Kube
from bootstrap.kube_api import kubernetes_api
from loadtests.documents.ways import ASYNC, Way
from loadtests.observers.api import pods
from loadtests.observers.processor import CLUSTER, GENERATOR, Processor
from loadtests.observers.sampling import INTERVAL_SECONDS, Sampler
from loadtests.observers.services import FAILURES, Services
from loadtests.observers.store import Counters, StoreObserver

GENERATOR_PODS = "load-generator"
"""Where the load is made on the cluster."""
FRESH_SECONDS = 1.5
"""For longer than this no process shows an old length of the queue."""


class Watch:
    """Looks at the processor while it is open, and at everything between ``begin`` and ``end``.

    Without a way of documents there is no store that is looked at, and no queue.
    """

    def __init__(self, kube: Kube, way: Way | None) -> None:
        self.store = StoreObserver(kube, way) if way else None
        self.before: Counters | None = None
        self.after: Counters | None = None
        self.seconds = 0.0
        self._kube = kube
        self._way = way
        self._open = ExitStack()
        self._during = ExitStack()
        self._began = 0.0
        self._names: dict[str, str] = {}

    def __enter__(self) -> "Watch":
        with ExitStack() as opened:
            self._api = opened.enter_context(kubernetes_api(self._kube))
            self.services = Services(self._api, self._way)
            self.services.look()
            self.processor = Processor(self._workloads)
            failures = (psutil.Error, OSError, *FAILURES)
            self._samplers = [Sampler("processor", self.processor.look, failures)]
            opened.enter_context(self._samplers[0])
            self._open = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._during.close()
        self._open.close()

    def _workloads(self) -> Mapping[str, str]:
        # What runs in Kubernetes' own namespace is part of the cluster. A pod that left is kept:
        # its last moments are in the next look.
        for pod in pods(self._api):
            ours = pod.workload is not None and pod.namespace != "kube-system"
            name = pod.workload if ours and pod.workload else CLUSTER
            self._names[pod.uid] = GENERATOR if name == GENERATOR_PODS else name
        return self._names

    def begin(self) -> None:
        """From here on it is the run's.

        Raises:
            KubeError: the store could not be asked.
            httpx.HTTPError: the services could not.
        """
        self.services.begin()
        self._began = time.monotonic()
        if self.store:
            self.before = self.store.now()
            self._during.enter_context(self.store)
        self._samplers.append(Sampler("services", self.services.look, FAILURES))
        self._during.enter_context(self._samplers[-1])

    def end(self, empty_within: float) -> float | None:
        """Wait until all that was accepted is stored, and look for the last time.

        Gives the seconds that it took; None when it was not within the seconds given.

        Raises:
            KubeError: the store could not be asked.
        """
        self._during.close()
        emptied = self.wait_until_empty(empty_within)
        if self.store:
            self.after = self.store.now()
        self.seconds = time.monotonic() - self._began
        return emptied

    def complaints(self) -> list[str]:
        """Which observers saw so little that what they say stands for nothing, a sentence each."""
        return [told for sampler in self._samplers if (told := sampler.complaint) is not None]

    def wait_until_empty(self, within: float) -> float | None:
        """Seconds until the queue was empty; None when it was not within the seconds given.

        Pods measure it now and then, so that one look that finds nothing is not enough.
        """
        began, empty_at = time.monotonic(), None
        while time.monotonic() < began + within:
            try:
                look = self.services.look()
            except FAILURES:
                empty_at = None
            else:
                if self._way is not ASYNC:
                    return 0.0
                now = time.monotonic()
                empty_at = (empty_at or now) if look.queue == 0 else None
                if empty_at is not None and now - empty_at > FRESH_SECONDS:
                    return empty_at - began
            time.sleep(INTERVAL_SECONDS / 4)
        return None
