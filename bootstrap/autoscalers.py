"""What the autoscalers of the platform want, in one line each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Autoscaler:
    """One autoscaler; shares of the processor time that its pods request are in percent.

    ``used`` is None as long as nothing was measured: then ``problem`` is the reason.
    """

    name: str
    current: int
    wanted: int
    least: int
    most: int
    target: int
    used: int | None
    problem: str

    def __str__(self) -> str:
        count = str(self.current)
        if self.wanted != self.current:
            count += f", soon {self.wanted}"
        why = f" ({self.problem})" if self.problem else ""
        used = f"nothing measured yet{why}" if self.used is None else f"uses {self.used} %"
        return (
            f"autoscaler {self.name}: {count} pods of {self.least} to {self.most}, "
            f"target {self.target} % of the requested CPU, {used}"
        )


def autoscalers(objects: Sequence[Any]) -> list[Autoscaler]:
    """Those among the objects, by name."""
    found = (_autoscaler(it) for it in objects if it["kind"] == "HorizontalPodAutoscaler")
    return sorted(found, key=lambda one: one.name)


def _autoscaler(item: Any) -> Autoscaler:
    spec, status = item["spec"], item.get("status", {})
    used = _share(status.get("currentMetrics") or (), "current")
    return Autoscaler(
        name=item["metadata"]["name"],
        current=status.get("currentReplicas", 0),
        wanted=status.get("desiredReplicas", 0),
        least=spec["minReplicas"],
        most=spec["maxReplicas"],
        target=_share(spec["metrics"], "target") or 0,
        used=used,
        problem="" if used is not None else _problem(status),
    )


def _share(metrics: Sequence[Any], side: str) -> int | None:
    """An empty row stands for a metric that is not there."""
    for metric in metrics:
        share = metric.get("containerResource", {}).get(side, {}).get("averageUtilization")
        if share is not None:
            return int(share)
    return None


def _problem(status: Mapping[str, Any]) -> str:
    for condition in status.get("conditions", ()):
        if condition["type"] == "ScalingActive" and condition["status"] != "True":
            if "could not find the requested resource" in condition["message"]:
                return "the cluster has no metrics API; install metrics-server"
            return str(condition["reason"])
    return ""
