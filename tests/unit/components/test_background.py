"""What runs beside the services: on a schedule, all the time, and on volumes they share."""

from typing import Any

import pytest

from tests.harness import platforms
from tests.harness.recording import Registered, record


def made(kind: str, program: Any, **changes: Any) -> Registered:
    return next(r for r in record(lambda: program(**changes)).of(kind) if r.custom)


def cron_job(**changes: Any) -> Any:
    return made("CronJob", platforms.cron_job, **changes).inputs


def daemon(**changes: Any) -> Any:
    return made("Deployment", platforms.daemon, **changes).inputs


def pod(workload: Any) -> Any:
    spec = workload["spec"]
    return (spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec)["template"]


def test_a_run_never_begins_while_the_last_one_is_under_way():
    assert cron_job()["spec"]["concurrencyPolicy"] == "Forbid"


def test_a_run_is_bounded_in_time_and_attempts_and_some_are_kept_to_look_at():
    spec = cron_job(attempts=2, deadline_seconds=100)["spec"]
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 1
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 100
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (3, 7)
    assert spec["startingDeadlineSeconds"] == 3600


def test_a_schedule_is_read_in_one_zone_wherever_the_cluster_is():
    spec = cron_job()["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("30 2 * * *", "Etc/UTC")


def test_a_template_never_runs_by_itself():
    assert cron_job(suspended=True)["spec"]["suspend"] is True
    assert cron_job()["spec"]["suspend"] is False


def test_two_archivers_never_write_at_once():
    spec = daemon()["spec"]
    assert spec["strategy"] == {"type": "Recreate"}
    assert spec["replicas"] == 1
    assert record(platforms.daemon).of("PodDisruptionBudget") == []


@pytest.mark.parametrize("workload", [cron_job, daemon])
def test_pods_that_share_a_claim_share_a_host(workload: Any):
    template = pod(workload())
    (term,) = template["spec"]["affinity"]["podAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    # The first one finds nobody: it may go anywhere only because it is meant itself.
    wanted = term["labelSelector"]["matchLabels"]
    assert wanted.items() <= template["metadata"]["labels"].items()


@pytest.mark.parametrize("workload", [cron_job, daemon])
def test_pods_that_share_nothing_go_anywhere(workload: Any):
    assert "affinity" not in pod(workload(storage=(), together=None))["spec"]


@pytest.mark.parametrize("workload", [cron_job, daemon])
def test_the_claim_is_where_the_process_looks_for_it(workload: Any):
    spec = pod(workload())["spec"]
    (volume,) = [v for v in spec["volumes"] if "persistentVolumeClaim" in v]
    assert volume["persistentVolumeClaim"] == {"claimName": "postgres-backups"}
    (mount,) = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == volume["name"]]
    assert mount["mountPath"] == "/backups"
    assert not mount.get("readOnly")


@pytest.mark.parametrize("kept", [True, False])
def test_a_claim_goes_with_the_stack_unless_it_is_to_be_kept(kept: bool):
    storage = platforms.STORAGE.model_copy(update={"retention": "Retain" if kept else "Delete"})
    claim = made("PersistentVolumeClaim", platforms.claim, storage=storage)
    assert claim.inputs["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert claim.retained is kept


def test_nobody_waits_for_a_claim_that_is_bound_by_its_first_pod():
    claim = made("PersistentVolumeClaim", platforms.claim).inputs
    assert claim["metadata"]["annotations"]["pulumi.com/skipAwait"] == "true"
