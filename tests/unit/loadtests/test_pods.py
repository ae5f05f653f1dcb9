"""The load generator's pods: made of the template, and what it means when one is not there."""

import re
from typing import Any

import pytest

from loadtests.run import pods
from loadtests.run.plan import MASTER_VARIABLE, PLAN_VARIABLE, Plan
from tests.harness import platforms

PLAN = Plan(run="load-0123abcd", host="http://ingest-service.apps.svc", hot=1, workers=3, users=300)


def site() -> pods.Site:
    found = platforms.recorded("LoadGenerator").one("PodTemplate", "load-generator")
    return pods.site(found.inputs)


def environment(pod: dict[str, Any]) -> dict[str, str]:
    (container,) = pod["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"]}


def test_every_pod_carries_the_plan_and_where_the_master_is():
    master, workers = pods.master_pod(site(), PLAN), pods.worker_pods(site(), PLAN, "10.42.0.9")
    assert len(workers) == 3
    for pod in (master, *workers):
        assert Plan.model_validate_json(environment(pod)[PLAN_VARIABLE]) == PLAN
        assert pod["spec"]["restartPolicy"] == "Never"
        assert pod["metadata"]["labels"][pods.RUN_LABEL] == PLAN.run
    assert environment(master)[MASTER_VARIABLE] == "0.0.0.0:5557"
    assert {environment(pod)[MASTER_VARIABLE] for pod in workers} == {"10.42.0.9:5557"}
    assert len({pod["metadata"]["name"] for pod in (master, *workers)}) == 4


def test_the_master_ends_when_whoever_is_attached_to_it_does():
    (container,) = pods.master_pod(site(), PLAN)["spec"]["containers"]
    assert (container["stdin"], container["stdinOnce"]) == (True, True)


def test_a_forgotten_pod_is_ended_some_time_after_its_plan():
    deadline = pods.master_pod(site(), PLAN)["spec"]["activeDeadlineSeconds"]
    assert PLAN.stages[-1].until < deadline < PLAN.stages[-1].until + 3600


def a_pod(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "load-1-worker-1"},
        "spec": {"nodeName": "node-7"},
        "status": {"phase": "Running", **status},
    }


def test_a_pod_that_runs_is_not_lost():
    assert pods.lost("load-1-worker-1", pods.seen(a_pod())) is None


@pytest.mark.parametrize(
    ("pod", "how"),
    [
        (None, "was deleted"),
        ({**a_pod(), "metadata": {"name": "x", "deletionTimestamp": "now"}}, "leave node node-7"),
        (
            a_pod(
                phase="Failed",
                containerStatuses=[
                    {"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
                ],
            ),
            r"ended on node node-7 \(OOMKilled, exit code 137\)",
        ),
        (
            a_pod(phase="Failed", reason="Evicted", message="The node was low on memory."),
            r"ended on node node-7 \(Evicted: The node was low on memory.\)",
        ),
    ],
)
def test_a_pod_that_is_lost_is_named_with_what_became_of_it(pod: dict[str, Any] | None, how: str):
    told = pods.lost("load-1-worker-1", None if pod is None else pods.seen(pod))
    assert told is not None
    assert re.match(f"the load generator's pod load-1-worker-1 .*{how} in the middle", told)


def test_a_pod_that_waits_says_for_what():
    waits = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient cpu."}
    seen = pods.seen(a_pod(phase="Pending", conditions=[waits]))
    assert (seen.running, seen.why) == (False, "0/1 nodes: Insufficient cpu.")
