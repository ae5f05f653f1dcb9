"""What make status says of an autoscaler follows from what the API server says of it."""

from typing import Any

from bootstrap.autoscalers import autoscalers


def scaler(**status: Any) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": 40}
    return {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "apps"},
        "spec": {
            "minReplicas": 2,
            "maxReplicas": 10,
            "metrics": [{"type": "ContainerResource", "containerResource": {"target": target}}],
        },
        "status": {"currentReplicas": 2, "desiredReplicas": 2, **status},
    }


def inactive(message: str) -> list[dict[str, str]]:
    return [
        {"type": "AbleToScale", "status": "True", "reason": "Ready", "message": ""},
        {"type": "ScalingActive", "status": "False", "reason": "NoMetric", "message": message},
    ]


def said(**status: Any) -> str:
    (found,) = autoscalers([scaler(**status), {"kind": "Deployment"}])
    return str(found)


def test_its_line_has_the_pods_their_range_and_what_they_use() -> None:
    metric = {"containerResource": {"current": {"averageUtilization": 12}}}
    assert said(currentMetrics=[metric]) == (
        "autoscaler web: 2 pods of 2 to 10, target 40 % of the requested CPU, uses 12 %"
    )
    assert "2, soon 6 pods" in said(desiredReplicas=6)


def test_a_cluster_without_metrics_is_told_what_it_lacks() -> None:
    message = "unable to fetch metrics: the server could not find the requested resource (get ...)"
    assert "install metrics-server" in said(conditions=inactive(message))


def test_one_that_measured_nothing_yet_says_so_with_the_reason() -> None:
    assert said(currentMetrics=[{}]).endswith("nothing measured yet")
    assert said(conditions=inactive("pods might be unready")).endswith("yet (NoMetric)")
