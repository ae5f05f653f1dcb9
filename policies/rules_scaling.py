"""An autoscaler, the Deployment it moves and its disruption budget agree."""

from collections.abc import Iterator, Sequence
from typing import Final

from policies.resources import Resource, table
from policies.rule import StackRule


def autoscalers(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str]]:
    """The budget of a range lets one pod go (rule one-eviction), so the range begins at two."""
    names = {
        (r.namespace, table(r.props, "metadata").get("name"))
        for r in resources
        if r.kind == "Deployment"
    }
    for scaler in resources:
        if scaler.kind != "HorizontalPodAutoscaler":
            continue
        spec = table(scaler.props, "spec")
        target = table(spec, "scaleTargetRef").get("name")
        if (scaler.namespace, target) not in names:
            yield scaler, f"scales {target}, which is no Deployment of its namespace; name one"
        least, most = spec.get("minReplicas", 1), spec.get("maxReplicas")
        if not isinstance(least, int | float) or least < 2:
            yield (
                scaler,
                f"minReplicas is {least}, of which the disruption budget lets one go: a drain "
                "would stop the service; set it to 2 or more",
            )
        elif isinstance(most, int | float) and most <= least:
            yield scaler, f"maxReplicas ({most}) is not above minReplicas ({least}); raise it"
        for way in ("scaleUp", "scaleDown"):
            if "stabilizationWindowSeconds" not in table(spec, "behavior", way):
                yield scaler, f"does not say how fast it moves; set behavior.{way}"


STACK_RULES: Final = (
    StackRule("autoscaler", "An autoscaler's range leaves its budget a pod.", autoscalers),
)
