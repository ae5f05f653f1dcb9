"""What a load run on the cluster is made of: there before a run, and asking for nothing till it."""

from typing import Any

from tests.harness import platforms
from tests.harness.recording import record


def template(**changes: Any) -> dict[str, Any]:
    recording = record(lambda: platforms.load_generator(**changes))
    return recording.one("PodTemplate", "load-generator").inputs


def test_nothing_runs_and_nothing_is_requested_between_two_runs() -> None:
    kinds = {r.kind for r in platforms.recorded("LoadGenerator").kubernetes()}
    assert kinds == {"ServiceAccount", "PodTemplate"}


def test_a_pod_that_died_is_not_started_again_with_users_that_begin_anew() -> None:
    assert template()["template"]["spec"]["restartPolicy"] == "Never"


def test_who_starts_a_run_is_told_how_many_workers_and_where_users_go() -> None:
    said = template(workers=7, entries={"data": "https://mill.example"})["metadata"]["annotations"]
    assert said["millrace.dev/workers"] == "7"
    assert said["millrace.dev/entry-data"] == "https://mill.example"


def test_the_pods_run_on_the_nodes_that_the_stack_names_or_on_any() -> None:
    chosen = template(node_selector={"pool": "load"})["template"]["spec"]
    assert chosen["nodeSelector"] == {"pool": "load"}
    assert "nodeSelector" not in template()["template"]["spec"]
