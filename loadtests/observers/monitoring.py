"""What Prometheus saw of a run, asked once it is over. It looks every 30 s: charts, the gate and
whoever waits for an empty queue need what the other observers see."""

import ssl
from collections.abc import Mapping
from typing import Final

from bootstrap import figures
from bootstrap.kube import Kube, KubeError
from bootstrap.prometheus import AwayError, Prometheus, QueryError, Where, published
from loadtests.verdict.results import Container, Monitored, Served

LEAST_SECONDS: Final = 60.0
"""Of a shorter run there may be no two looks, and no rate."""
ANSWER_SECONDS: Final = 30.0
_OURS: Final = 'container!=""'
_FIRING: Final = 'ALERTS{alertstate="firing",severity=~"page|ticket"}'
_LEAST_BURNT: Final = 0.0001


def monitored(kube: Kube, since: float, until: float) -> Monitored:
    """Of the run between these moments, in seconds since 1970; without a Prometheus, why."""
    if until - since < LEAST_SECONDS:
        return Monitored(missing=f"the run was shorter than {LEAST_SECONDS:g} s")
    try:
        return ask(published(kube), since, until)
    except (AwayError, QueryError, KubeError, ssl.SSLError) as error:
        return Monitored(missing=str(error))


def ask(where: Where, since: float, until: float) -> Monitored:
    """As above.

    Raises:
        AwayError: nobody answers there.
        QueryError: it did not answer all of it in time.
    """
    with where.client() as http:
        return _Run(Prometheus(http, ANSWER_SECONDS), since, until).monitored()


class _Run:
    def __init__(self, asking: Prometheus, since: float, until: float) -> None:
        self._asking = asking
        self._since = since
        self._until = until
        self._window = f"{until - since:.0f}s"

    def monitored(self) -> Monitored:
        return Monitored(
            services=self._services(),
            containers=self._containers(),
            lag=self._most("job", figures.LAG),
            oldest=self._most("job", figures.OLDEST),
            burnt=self._burnt(),
            alerts=self._alerts(),
        )

    def _by(self, label: str, expr: str) -> dict[str, float]:
        found = self._asking.now(expr, self._until)
        return {one.labels.get(label, ""): one.value for one in found}

    def _most(self, label: str, expr: str) -> dict[str, float]:
        return self._by(label, f"max_over_time(({expr})[{self._window}:30s])")

    def _services(self) -> dict[str, Served]:
        failed = self._by("job", figures.failed(self._window))
        p95 = self._by("job", figures.p95(self._window))
        return {
            job: Served(
                requests=requests,
                failed=failed.get(job),
                p95=1000 * p95[job] if job in p95 else None,
            )
            for job, requests in self._by("job", figures.requests(self._window)).items()
        }

    def _containers(self) -> dict[str, Container]:
        cpu = f"container_cpu_usage_seconds_total{{{_OURS}}}"
        cores = self._by("container", f"sum by (container) (rate({cpu}[{self._window}]))")
        memory = self._most(
            "container", f"sum by (container) (container_memory_working_set_bytes{{{_OURS}}})"
        )
        return {
            name: Container(cores=cores.get(name, 0.0), memory_mib=memory.get(name, 0.0) / 2**20)
            for name in sorted(cores.keys() | memory.keys())
        }

    def _burnt(self) -> dict[str, float]:
        """Until now: what was asked last is in the budgets a minute later."""
        before = self._left(self._since)
        gone = {slo: before.get(slo, 1.0) - left for slo, left in self._left(None).items()}
        return {slo: share for slo, share in gone.items() if share >= _LEAST_BURNT}

    def _left(self, at: float | None) -> Mapping[str, float]:
        found = self._asking.now(figures.BUDGETS, at)
        return {one.labels.get("slo", ""): one.value for one in found}

    def _alerts(self) -> tuple[str, ...]:
        """Until now, as most fire minutes after what they are about began."""
        seconds = max(self._asking.time() - self._since, 1.0)
        fired = f"max_over_time({_FIRING}[{seconds:.0f}s])"
        before = {_named(one.labels) for one in self._asking.now(_FIRING, self._since)}
        during = {_named(one.labels) for one in self._asking.now(fired)}
        return tuple(
            f"{name}, as before the run" if name in before else name for name in sorted(during)
        )


def _named(labels: Mapping[str, str]) -> str:
    """Like ``page ServerDown (kafka)``; in the alphabet, too, pages come before tickets."""
    whose = labels.get("slo") or labels.get("job")
    name = f"{labels.get('severity', '')} {labels.get('alertname', '')}"
    return f"{name} ({whose})" if whose else name
