"""Run-to-completion work: a new Job whenever it would do something else, never otherwise."""

from typing import Any

import pytest

from components.kit.args import Mount
from tests.harness import platforms
from tests.harness.platforms import files
from tests.harness.recording import Registered, record


def made(**changes: Any) -> Registered:
    return next(r for r in record(lambda: platforms.job(**changes)).of("Job") if r.custom)


def name(**changes: Any) -> str:
    return made(**changes).inputs["metadata"]["name"]


@pytest.mark.parametrize(
    "changes",
    [
        {"image": "registry.example/services:1.2.4"},
        {"command": ("python", "-m", "services.migrate", "restdb", "--to", "0002")},
        {"spec": '{"topics": ["more"]}'},
        {"env": {"LOG_LEVEL": "DEBUG"}},
        {"ca": files("millrace-ca", "ConfigMap", version="2")},
        {"mounts": (Mount(files=files(), path="/etc/millrace/more"),)},
        {"after": {"roles": "postgres-provision-1234"}},
        {"attempts": 2},
        {"deadline_seconds": 60},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_any_change_of_what_runs_makes_a_new_job(changes: dict[str, Any]) -> None:
    assert name(**changes) != name()


def test_a_rotated_password_runs_the_job_again() -> None:
    def named_with(version: str) -> str:
        mount = Mount(files=files(version=version), path="/etc/millrace/secrets/restdb")
        return name(mounts=(mount,))

    assert named_with("1") != named_with("2")


def test_the_same_work_has_the_same_name_so_a_second_up_does_nothing() -> None:
    assert name() == name()


def test_its_name_is_the_components_with_a_hash() -> None:
    prefix, _, suffix = name().rpartition("-")
    assert prefix == "kafka-provision"
    assert len(suffix) == 8
    assert int(suffix, 16) >= 0


def test_a_finished_job_stays_because_a_vanished_one_would_run_again() -> None:
    assert "ttlSecondsAfterFinished" not in made().inputs["spec"]


def test_attempts_and_time_are_bounded_and_pulumi_waits_a_little_longer() -> None:
    job = made(attempts=3, deadline_seconds=200).inputs
    assert job["spec"]["backoffLimit"] == 2
    assert job["spec"]["activeDeadlineSeconds"] == 200
    assert job["metadata"]["annotations"]["pulumi.com/timeoutSeconds"] == "260"


def test_a_failed_attempt_leaves_its_pod_and_logs() -> None:
    assert made().inputs["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_the_spec_is_mounted_where_the_program_looks_for_it() -> None:
    recording = platforms.recorded("Job")
    config = recording.of("ConfigMap")[0].inputs
    assert config["data"] == {"spec.json": '{"topics": []}'}
    pod = made().inputs["spec"]["template"]["spec"]
    volume = next(v for v in pod["volumes"] if v["name"] == "spec")
    assert volume["configMap"]["name"] == config["metadata"]["name"]
    paths = {m["name"]: m["mountPath"] for m in pod["containers"][0]["volumeMounts"]}
    assert paths["spec"] == "/etc/millrace/spec"


def test_without_a_spec_there_is_no_config_map() -> None:
    assert record(lambda: platforms.job(spec=None)).of("ConfigMap") == []


def test_what_comes_after_waits_for_its_success() -> None:
    def program() -> None:
        first = platforms.job()
        platforms.Job(
            "migrate-restdb",
            platforms.JobArgs(
                namespace="apps",
                image=platforms.image("services"),
                command=("python", "-m", "services.migrate", "restdb"),
                resources=platforms.SIZE,
                ca=files("millrace-ca", "ConfigMap"),
                after={"topics": first.completed},
            ),
        )

    jobs = {r.name: r for r in record(program).of("Job") if r.custom}
    assert jobs["kafka-provision"].urn in jobs["migrate-restdb"].dependencies
