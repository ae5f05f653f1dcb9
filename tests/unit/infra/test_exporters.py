"""Who may ask servers how they fare, and what asks."""

import base64
import json
from typing import Any

import pytest

from components.monitoring import exporters
from infra.model.records import RECORDS
from infra.model.servers import EXPORTER_USER, EXPORTERS
from infra.model.settings import PlatformSettings
from infra.monitoring.scraping.servers import of_servers
from infra.stack.diff import load_stack
from tests.harness.composed import compose, composed
from tests.harness.recording import Recording

ENGINES = tuple(EXPORTERS)


def spec_of(recording: Recording, server: str) -> dict[str, Any]:
    made = recording.one("ConfigMap", f"{server}-provision-spec").inputs["data"]["spec.json"]
    return json.loads(made)


def config_of(recording: Recording, name: str) -> dict[str, str]:
    data = recording.one("Secret", f"{name}-config").inputs["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def with_second_password(server: str) -> PlatformSettings:
    settings = load_stack("airgap")
    said = {f"{server}-exporter": {"generation": 2, "previous": "accepted"}}
    rotation = type(settings.rotation).model_validate({"passwords": said})
    return settings.model_copy(update={"rotation": rotation})


@pytest.mark.parametrize("engine", ENGINES)
def test_every_server_of_an_engine_has_an_account_for_the_one_exporter(engine: Any):
    platform = composed("airgap")
    name = EXPORTERS[engine]
    texts = config_of(platform, name)
    waits = platform.one("Secret", f"{name}-config").dependencies
    for server in RECORDS.server_names(engine=engine):
        asked = f"{server}.data.svc" if engine == "redis" else server
        assert any(asked in text for text in texts.values())
        assert EXPORTER_USER in str(spec_of(platform, server))
        job = next(j for j in platform.of("Job") if j.name == f"{server}-provision" and j.custom)
        assert job.urn in waits, "it would be refused with a password that nobody knows yet"
    [made] = [d for d in platform.of("Deployment") if d.name == name]
    assert made.manifest["metadata"]["namespace"] == "monitoring"


def test_postgres_lets_the_other_one_of_two_roles_in_when_the_password_is_replaced():
    recording, _ = compose(with_second_password("postgres"))
    assert spec_of(recording, "postgres")["exporter"]["login"] == f"{EXPORTER_USER}_b"
    modules = json.loads(config_of(recording, "postgres-exporter")["postgres_exporter.yml"])
    users = {name: of["userpass"]["username"] for name, of in modules["auth_modules"].items()}
    assert users == {"postgres": f"{EXPORTER_USER}_b", "data-store": EXPORTER_USER}
    assert all(of["options"]["sslmode"] == "verify-full" for of in modules["auth_modules"].values())


def test_pods_are_rolled_for_another_password_and_their_secret_is_one():
    before, (after, _) = composed("airgap"), compose(with_second_password("redis-cache"))

    def hashed(recording: Recording, name: str) -> str:
        template = recording.one("Deployment", name).manifest["spec"]["template"]
        return template["metadata"]["annotations"]["millrace.dev/config-hash"]

    assert hashed(before, "redis-exporter") != hashed(after, "redis-exporter")
    assert hashed(before, "mysqld-exporter") == hashed(after, "mysqld-exporter")
    marked = before.one("Secret", "redis-exporter-config").secret_paths
    assert any("passwords.json" in path or path == "data" for path in marked)


@pytest.mark.parametrize("stack", ["airgap", "dev", "prod"])
def test_every_pod_of_a_server_is_a_target_by_its_name_there_or_not(stack: str):
    settings = load_stack(stack)
    jobs = of_servers(RECORDS, settings)
    found = {
        target["labels"]["pod"]: target["labels"]["job"]
        for job in jobs
        for target in job["static_configs"]
    }
    pods = {
        f"{made.name}-{number}"
        for made in composed(stack).of("StatefulSet")
        if made.manifest["metadata"]["namespace"] == "data" and not made.name.endswith("-proxy")
        for number in range(made.manifest["spec"]["replicas"])
    }
    assert set(found) == pods
    assert set(found.values()) == {server.name for server in RECORDS.servers}


def test_a_target_goes_by_a_name_that_the_servers_certificate_has():
    platform = composed("prod")
    for job in of_servers(RECORDS, load_stack("prod")):
        if job.get("scheme") != "https":
            continue
        for target in job["static_configs"]:
            [address] = target["targets"]
            host = address.removeprefix("rediss://").split(":")[0]
            names = platform.one("CertRequest", f"{target['labels']['job']}-tls-request").inputs
            wildcard = f"*.{host.partition('.')[2]}"
            assert {host, wildcard} & set(names["dnsNames"]), host


def test_each_server_is_asked_for_with_its_own_login():
    jobs = {job["job_name"]: job for job in of_servers(RECORDS, load_stack("airgap"))}
    texts = {name: config_of(composed("airgap"), name) for name in EXPORTERS.values()}
    [module] = jobs["servers/data-store"]["params"]["auth_module"]
    known = json.loads(texts["postgres-exporter"]["postgres_exporter.yml"])["auth_modules"]
    assert module in known
    [module] = jobs["servers/client-database"]["params"]["auth_module"]
    assert f"[{module}]" in texts["mysqld-exporter"]["my.cnf"]
    [target] = jobs["servers/redis-cache"]["static_configs"][0]["targets"]
    passwords = json.loads(texts["redis-exporter"]["passwords.json"])
    assert target.replace("//", f"//{EXPORTER_USER}@") in passwords


def test_what_is_not_granted_is_not_asked():
    command = exporters.redis_command(EXPORTER_USER)
    assert "--config-command=-" in command
    assert "--exclude-latency-histogram-metrics" in command
    assert not [one for one in command if one.startswith(("--check-", "--export-client-list"))]
