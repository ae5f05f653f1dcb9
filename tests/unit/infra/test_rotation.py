"""What a rotation changes of a platform: the server's Job and Secrets, in order, and no pod."""

import base64
import json
from functools import cache
from typing import Any, Literal

import pytest
from pydantic import ValidationError

from infra.model.settings import PasswordSettings, RotationSettings
from infra.stack.diff import load_stack
from tests.harness.composed import compose, composed
from tests.harness.population import SMALL
from tests.harness.recording import Recording

ROTATED = (
    *("postgres-admin", "postgres-backup", "postgres-restdb", "data-store-datadb"),
    *("client-database-admin", "client-database-backup"),
    *("client-database-client-db", "client-database-client-db-owner"),
)
OF_SMALL = {"records": SMALL}


@cache
def rotated(previous: Literal["accepted", "refused"] | None) -> Recording:
    said = {name: PasswordSettings(generation=2, previous=previous) for name in ROTATED}
    rotation = RotationSettings.model_construct(passwords=said)
    return compose(load_stack("airgap").model_copy(update={"rotation": rotation}))[0]


def keys(recording: Recording, name: str) -> dict[str, str]:
    data: dict[str, str] = recording.one("Secret", name).inputs["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def provisioned(recording: Recording, server: str) -> dict[str, Any]:
    spec = recording.one("ConfigMap", f"{server}-provision-spec").inputs["data"]["spec.json"]
    return json.loads(spec)


@pytest.mark.parametrize("previous", ["accepted", "refused", None])
def test_no_pod_is_rolled_for_a_password_of_a_database(previous: Any) -> None:
    def pods(recording: Recording) -> dict[str, Any]:
        return {
            made.urn: made.inputs["spec"]
            for kind in ("Deployment", "StatefulSet", "CronJob")
            for made in recording.of(kind)
            # Of Kafka's every composition makes other certificates.
            if made.custom and made.name != "kafka"
        }

    assert pods(rotated(previous)) == pods(composed("airgap"))


def test_migrations_do_not_run_again_and_provisioning_does() -> None:
    def jobs(recording: Recording) -> dict[str, str]:
        return {j.name: j.inputs["metadata"]["name"] for j in recording.of("Job") if j.custom}

    before, after = jobs(composed("airgap")), jobs(rotated("accepted"))
    again = {name for name in before if before[name] != after[name]}
    assert again == {"postgres-provision", "data-store-provision", "client-database-provision"}


@pytest.mark.parametrize("secret", ["postgres-restdb", "client-database-client-db"])
def test_clients_are_given_the_new_one_after_the_server_and_never_the_old_one(secret: str) -> None:
    recording = rotated("accepted")
    own, handed = keys(recording, f"{secret}-data"), keys(recording, f"{secret}-apps")
    assert own["password"] == handed["password"] != own["previous"]
    assert own["previous"] == keys(composed("airgap"), f"{secret}-apps")["password"]
    assert "previous" not in handed
    server = "postgres" if secret.startswith("postgres") else "client-database"
    (job,) = (j for j in recording.of("Job") if j.custom and j.name == f"{server}-provision")
    assert job.urn in recording.one("Secret", f"{secret}-apps").dependencies


def test_a_role_of_postgresql_logs_in_in_turns_and_its_secret_says_as_whom() -> None:
    for recording, login in ((composed("airgap"), "restdb"), (rotated("accepted"), "restdb_b")):
        for where in ("data", "apps"):
            assert keys(recording, f"postgres-restdb-{where}")["username"] == login
        (spec,) = (
            d for d in provisioned(recording, "postgres")["databases"] if d["name"] == "restdb"
        )
        assert (spec["role"], spec["login"]) == ("restdb", login)


@pytest.mark.parametrize("previous", ["accepted", "refused"])
@pytest.mark.parametrize("server", ["postgres", "client-database"])
def test_the_server_is_told_what_becomes_of_the_old_one(server: str, previous: Any) -> None:
    spec = provisioned(rotated(previous), server)
    wanted = {
        "password_file": "/etc/millrace/secrets/admin/previous",
        "accepted": previous == "accepted",
    }
    assert spec["admin_previous"] == wanted
    assert spec["backup"]["previous"]["accepted"] == (previous == "accepted")


def test_a_rotation_that_is_over_leaves_nothing_of_the_old_one() -> None:
    recording = rotated(None)
    made = {one.name for one in recording.of("RandomPassword")}
    assert {f"{name}-2" for name in ROTATED} <= made
    assert not set(ROTATED) & made
    assert "previous" not in keys(recording, "postgres-restdb-data")
    assert "previous" not in json.dumps(provisioned(recording, "postgres"))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"passwords": {"postgres-front": {}}}, r"no password 'postgres-front'; did you mean"),
        ({"passwords": {"postgres-frontdb": {"previous": "accepted"}}}, "set generation to 2"),
        ({"passwords": {"postgres-frontdb": {"generation": 0}}}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused_with_a_way_out(document: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        RotationSettings.model_validate(document, context=OF_SMALL)
