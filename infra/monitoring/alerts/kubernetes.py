"""What Kubernetes makes of the platform's objects: pods, budgets, autoscalers, Jobs, volumes."""

from typing import Final

from infra.monitoring.forms import Alert, Case, Group, Implied, Said, series

_POD: Final = {"job": "rest-service", "namespace": "apps", "pod": "rest-service-1"}
_OF: Final = {"job": "rest-service", "namespace": "apps"}
_SERVER: Final = {"job": "kafka", "namespace": "data"}
_CLAIM: Final = {"namespace": "data", "persistentvolumeclaim": "data-kafka-0"}
_HOUR: Final = 60
_NIGHTLY: Final = ".+-backup-[0-9]+"
"""Jobs of the CronJobs that run every night, whose names end in when each was due."""


def _replicas(available: int, ready: int) -> dict[str, str]:
    """Of a Deployment and a StatefulSet, and of those that have one replica."""
    alone = {"job": "cpu-writer", "namespace": "apps"}
    return {
        series("k8s_deployment_available", **_OF): f"{available}x20",
        series("k8s_deployment_desired", **_OF): "3x20",
        series("k8s_statefulset_ready_pods", **_SERVER): f"{ready}x20",
        series("k8s_statefulset_desired_pods", **_SERVER): "3x20",
        series("k8s_deployment_available", **alone): "0x20",
        series("k8s_deployment_desired", **alone): "1x20",
    }


def _free(values: str) -> dict[str, str]:
    return {
        series("kubelet_volume_stats_available_bytes", **_CLAIM): values,
        series("kubelet_volume_stats_capacity_bytes", **_CLAIM): f"1000x{8 * _HOUR}",
    }


def _pods(
    failed: int, succeeded: int, active: int, *, job: str = "migrate-restdb-1a2b", minutes: int = 20
) -> dict[str, str]:
    of = {"job": job, "namespace": "data"}
    return {
        series("k8s_job_failed_pods", **of): f"{failed}x{minutes}",
        series("k8s_job_successful_pods", **of): f"{succeeded}x{minutes}",
        series("k8s_job_active_pods", **of): f"{active}x{minutes}",
    }


GROUP: Final = Group(
    "kubernetes",
    (
        Alert(
            "PodRestarts",
            "max by (job, namespace, pod) (increase(k8s_container_restarts[10m])) > 3",
            severity="page",
            layer="service",
            owner="platform",
            lingers="5m",
            summary="{{ $labels.pod }} was restarted {{ $value | humanize }} times in ten minutes",
            description=(
                "A container of it ends again and again. Kubernetes waits longer each time, up to"
                " five minutes."
            ),
            implied=(Implied("ServerDown"), Implied("ServiceDown")),
            cases=(
                Case(
                    {series("k8s_container_restarts", **_POD, container="c"): "0x10 1 2 3 4x9"},
                    "15m",
                    (
                        Said(
                            _POD,
                            "rest-service-1 was restarted 4 times in ten minutes",
                        ),
                    ),
                ),
                Case(
                    {series("k8s_container_restarts", **_POD, container="c"): "9x10 10 11x12"},
                    "15m",
                ),
            ),
        ),
        Alert(
            "BudgetBlocksDrain",
            "k8s_deployment_available < k8s_deployment_desired and k8s_deployment_desired > 1"
            " or k8s_statefulset_ready_pods < k8s_statefulset_desired_pods"
            " and k8s_statefulset_desired_pods > 1",
            severity="ticket",
            layer="symptom",
            owner="platform",
            pending="15m",
            summary="{{ $labels.job }}: only {{ $value }} replicas are ready",
            description=(
                "Its disruption budget lets one go, and one is missing already: a node with one of"
                " its ready pods cannot be drained, and another failure finds less in reserve."
            ),
            implied=(Implied("ServiceDown"), Implied("ServerDown"), Implied("PodRestarts")),
            cases=(
                Case(
                    _replicas(available=2, ready=1),
                    "17m",
                    (
                        Said(_OF, "rest-service: only 2 replicas are ready"),
                        Said(_SERVER, "kafka: only 1 replicas are ready"),
                    ),
                ),
                Case(_replicas(available=3, ready=3), "17m"),
            ),
        ),
        Alert(
            "AutoscalerAtLimit",
            "k8s_hpa_current_replicas >= k8s_hpa_max_replicas",
            severity="ticket",
            layer="symptom",
            owner="platform",
            pending="15m",
            summary="{{ $labels.job }}: all {{ $value }} replicas of its range run",
            description="If there is still more to do, there is nobody left to do it.",
            cases=(
                Case(
                    {
                        series("k8s_hpa_current_replicas", **_OF): "10x20",
                        series("k8s_hpa_max_replicas", **_OF): "10x20",
                    },
                    "17m",
                    (Said(_OF, "rest-service: all 10 replicas of its range run"),),
                ),
                Case(
                    {
                        series("k8s_hpa_current_replicas", **_OF): "9x20",
                        series("k8s_hpa_max_replicas", **_OF): "10x20",
                    },
                    "17m",
                ),
            ),
        ),
        Alert(
            "JobFailed",
            "k8s_job_failed_pods > 0 and k8s_job_successful_pods == 0 and k8s_job_active_pods == 0"
            # A failed backup stays for a week, to be read. A night later the next one has succeeded
            # or is told of itself.
            f' unless k8s_job_failed_pods{{job=~"{_NIGHTLY}"}} offset 1d > 0',
            severity="ticket",
            layer="symptom",
            owner="platform",
            pending="10m",
            summary="the Job {{ $labels.job }} failed",
            description=(
                "It has no tries left. What waits for it, an update for one, does not go on; its"
                " pods and their logs are kept."
            ),
            cases=(
                Case(
                    _pods(failed=3, succeeded=0, active=0),
                    "12m",
                    (
                        Said(
                            {"job": "migrate-restdb-1a2b", "namespace": "data"},
                            "the Job migrate-restdb-1a2b failed",
                        ),
                    ),
                ),
                Case(
                    {
                        **_pods(1, 0, 0, job="postgres-backup-29395210", minutes=25 * _HOUR),
                        **_pods(1, 0, 0, job="postgres-operation", minutes=25 * _HOUR),
                        series(
                            "k8s_job_failed_pods", job="postgres-backup-29396650", namespace="data"
                        ): f"_x{23 * _HOUR} 2x{2 * _HOUR}",
                        **{
                            series(
                                f"k8s_job_{what}_pods",
                                job="postgres-backup-29396650",
                                namespace="data",
                            ): f"_x{23 * _HOUR} 0x{2 * _HOUR}"
                            for what in ("successful", "active")
                        },
                    },
                    f"{24 * _HOUR + 30}m",
                    tuple(
                        Said({"job": job, "namespace": "data"}, f"the Job {job} failed")
                        for job in ("postgres-operation", "postgres-backup-29396650")
                    ),
                ),
                Case(_pods(failed=1, succeeded=1, active=0), "12m"),
                Case(_pods(failed=1, succeeded=0, active=1), "12m"),
            ),
        ),
        Alert(
            "VolumeFull",
            "kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes < 0.1",
            severity="page",
            layer="server",
            owner="data",
            pending="5m",
            lingers="5m",
            summary=(
                "{{ $labels.persistentvolumeclaim }}: {{ $value | humanizePercentage }} are free"
            ),
            description="At 0 % the server on it stops, and does not start again by itself.",
            cases=(
                Case(_free("99x20"), "7m", (Said(_CLAIM, "data-kafka-0: 9.9% are free"),)),
                Case(_free("101x20"), "7m"),
            ),
        ),
        Alert(
            "VolumeFillsSoon",
            "predict_linear(kubelet_volume_stats_available_bytes[6h], 3 * 86400) < 0"
            " and kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes < 0.4",
            severity="ticket",
            layer="symptom",
            owner="data",
            pending="1h",
            summary="{{ $labels.persistentvolumeclaim }} is full within three days",
            description="That is, if it goes on as in the last six hours.",
            implied=(Implied("VolumeFull", equal=("namespace", "persistentvolumeclaim")),),
            cases=(
                Case(
                    _free(f"400-0.3x{8 * _HOUR}"),
                    f"{7 * _HOUR + 5}m",
                    (Said(_CLAIM, "data-kafka-0 is full within three days"),),
                ),
                Case(_free(f"400-0.01x{8 * _HOUR}"), f"{7 * _HOUR + 5}m"),
            ),
        ),
        Alert(
            "NodeAway",
            'up{job="kubelet"} == 0',
            severity="ticket",  # where it takes a service or a server with it, those page
            layer="symptom",
            owner="platform",
            pending="5m",
            summary="the node {{ $labels.node }} does not answer",
            description="Kubernetes moves its pods after a while, but for those on its disks.",
            cases=(
                Case(
                    {series("up", job="kubelet", node="n"): "0x9"},
                    "6m",
                    (Said({"job": "kubelet", "node": "n"}, "the node n does not answer"),),
                ),
                Case({series("up", job="kubelet", node="n"): "1x9"}, "6m"),
            ),
        ),
    ),
)
