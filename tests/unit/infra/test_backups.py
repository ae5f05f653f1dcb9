"""Backups in a stack: what is said of them, and what is made of that."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from infra.model import operations
from infra.model.records import RECORDS
from infra.model.settings import BackupSettings, PlatformSettings
from infra.model.settings.backups import nightly
from infra.stack.diff import load_stack
from services.backup.spec import BackupSpec
from tests.harness.composed import STACKS, compose, composed
from tests.harness.recording import Recording, Registered

RECIPIENT = "age1" + "q" * 58
S3 = {"bucket": "mill-backups", "credentialsSecret": "backup-bucket"}
ENCRYPTION = {"recipients": (RECIPIENT,), "identitySecret": "backup-identity"}


def settings(**said: Any) -> BackupSettings:
    return BackupSettings.model_validate(said)


def stack(**said: Any) -> Recording:
    changed: PlatformSettings = load_stack("airgap").model_copy(
        update={"backups": settings(**said)}
    )
    return compose(changed)[0]


def custom(recording: Recording, kind: str) -> dict[str, Registered]:
    return {r.name: r for r in recording.of(kind) if r.custom}


def mounted(job: Registered) -> set[str]:
    spec = job.inputs["spec"]
    run = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
    volumes = run["template"]["spec"]["volumes"]
    return {v["secret"]["secretName"] for v in volumes if "secret" in v}


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"schedule": "0 2 * *"}, "has 4 fields, but a schedule has five"),
        ({"schedule": "60 2 * * *"}, "the minute '60'"),
        ({"schedule": "0 2-1 * * *"}, "the hour '2-1'"),
        ({"schedule": "*/0 2 * * *"}, "the minute '\\*/0'"),
        ({"schedule": "0 2 * * MON"}, "the weekday 'MON'"),
        (
            {"encryption": ENCRYPTION | {"recipients": ("AGE-SECRET-KEY-1Q",)}},
            "this is an identity",
        ),
        ({"encryption": ENCRYPTION | {"recipients": ()}}, "at least 1 item"),
        ({"s3": S3 | {"endpoint": "mill.test"}}, "should match pattern"),
        ({"keepCount": 0}, "greater than or equal to 1"),
        ({"servers": {"postgrs": {}}}, "no database server 'postgrs'; did you mean 'postgres'"),
        ({"servers": {"kafka": {}}}, "no database server 'kafka'"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(said: dict[str, Any], fault: str):
    with pytest.raises(ValidationError, match=fault):
        settings(**said)


@pytest.mark.parametrize("schedule", ["* * * * *", "*/15 1,13 1-7 * 0-6/2", "59 23 31 12 7"])
def test_a_schedule_of_crons_is_taken(schedule: str):
    assert settings(schedule=schedule).of("postgres").schedule == schedule


def test_a_server_says_what_differs_and_has_the_rest_of_all():
    said = settings(keepCount=2, storage="9Gi", servers={"postgres": {"scratch": "1Gi"}})
    assert said.of("postgres").scratch == "1Gi"
    assert said.of("postgres").storage == "9Gi"
    assert said.of("data-store").scratch == settings().scratch


def test_servers_are_not_all_backed_up_at_once_and_at_the_same_minute_every_night():
    minutes = {nightly(server.name) for server in RECORDS.servers}
    assert len(minutes) == len(RECORDS.servers)
    assert all(1 <= int(schedule.split()[1]) <= 4 for schedule in minutes)


def test_backups_are_called_what_the_owner_of_the_database_says():
    told = {
        name: json.loads(one.inputs["data"]["spec.json"])["prefix"]
        for name, one in custom(composed("airgap"), "ConfigMap").items()
        if name.endswith(("-backup-spec", "-restore-spec"))
    }
    assert told["client-db-backup-spec"] == told["client-db-restore-spec"] == "clients"
    assert told["postgres-backup-spec"] == told["restdb-restore-spec"] == "postgres"


@pytest.mark.parametrize("name", STACKS)
def test_what_a_job_is_told_is_what_its_program_reads(name: str):
    recording = composed(name)
    for record in RECORDS.servers:
        for database in RECORDS.databases(server=record.name):
            config = custom(recording, "ConfigMap")[f"{operations.restore_job(database)}-spec"]
            spec = BackupSpec.model_validate_json(config.inputs["data"]["spec.json"])
            assert spec.database == database
            assert spec.server.host == f"{record.name}.data.svc"
            assert spec.folder == operations.backed_up(record, database)


def test_only_what_restores_has_the_administrators_password():
    jobs = custom(composed("airgap"), "CronJob")
    assert "postgres-admin" in mounted(jobs["restdb-restore"])
    assert "postgres-admin" not in mounted(jobs["postgres-backup"])
    archiver = custom(composed("airgap"), "Deployment")["postgres-archiver"]
    assert mounted(archiver) == {"postgres-backup"}


def test_the_private_key_is_where_backups_are_read_and_not_where_the_log_is_archived():
    recording = stack(encryption=ENCRYPTION)
    jobs = custom(recording, "CronJob")
    for name in ("postgres-backup", "restdb-restore"):
        assert "backup-identity" in mounted(jobs[name])
    assert "backup-identity" not in mounted(custom(recording, "Deployment")["postgres-archiver"])
    spec = custom(recording, "ConfigMap")["postgres-backup-spec"].inputs["data"]["spec.json"]
    assert json.loads(spec)["encryption"]["recipients"] == [RECIPIENT]


def test_in_a_bucket_there_is_no_claim_and_pods_go_anywhere():
    recording = stack(s3=S3)
    assert custom(recording, "PersistentVolumeClaim") == {}
    job = custom(recording, "CronJob")["postgres-backup"]
    assert "backup-bucket" in mounted(job)
    pod = job.inputs["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert "affinity" not in pod


def test_a_server_without_backups_has_none_of_it_and_can_be_migrated_all_the_same():
    recording = stack(servers={"postgres": {"enabled": False}})
    jobs = custom(recording, "CronJob")
    assert "postgres-backup" not in jobs
    assert "restdb-restore" not in jobs
    assert "restdb-migrate" in jobs
    assert "data-store-backup" in jobs


def test_without_any_backups_their_image_is_not_built():
    assert "backup-postgres" in custom(composed("airgap"), "Image")
    assert "backup-postgres" not in custom(stack(enabled=False), "Image")


def test_scratch_space_counts_against_a_disk_that_has_room_for_it():
    pod = custom(stack(scratch="3Gi"), "CronJob")["postgres-backup"].inputs["spec"]["jobTemplate"][
        "spec"
    ]["template"]["spec"]
    (tmp,) = [v for v in pod["volumes"] if v["name"] == "tmp"]
    assert tmp["emptyDir"]["sizeLimit"] == "3Gi"
    limit = pod["containers"][0]["resources"]["limits"]["ephemeral-storage"]
    assert limit == f"{3 * 1024 + 512}Mi"
