"""Where a stack has a ProxySQL, what services are then told, and that nothing of it is made where
there is none."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from infra.model.settings import PlatformSettings
from infra.stack.diff import load_stack
from tests.harness.composed import compose, composed
from tests.harness.recording import Recording

PROXY = "telemetry-database-proxy"
IMAGE = "registry.example/proxysql:2.7.1"


def changed(stack: str, **sections: Any) -> PlatformSettings:
    document = load_stack(stack).model_dump(by_alias=True, mode="json")
    for section, values in sections.items():
        document[section] = {**document[section], **values}
    return PlatformSettings.model_validate_json(json.dumps(document))


def hosts(recording: Recording, service: str) -> dict[str, str]:
    (made,) = [r for r in recording.of("Deployment") if r.name == service]
    (container,) = made.inputs["spec"]["template"]["spec"]["containers"]
    return {e["name"]: e["value"] for e in container["env"] if e["name"].endswith("_HOST")}


def ours(recording: Recording) -> set[str]:
    return {r.name for r in recording.resources if PROXY in r.name or "database-monitor" in r.name}


def test_with_official_images_services_reach_the_server_through_it() -> None:
    found = hosts(composed("dev"), "ingest-service")
    assert found["TELEMETRY_HOST"] == f"{PROXY}.data.svc"
    assert found["TELEMETRY_READERS_HOST"] == f"{PROXY}.data.svc"
    assert hosts(composed("dev"), "auth-service")["DATABASE_HOST"] == "client-database.data.svc"


def test_without_an_image_nothing_of_it_is_made_and_services_reach_mysql() -> None:
    assert ours(composed("airgap")) == set()
    found = hosts(composed("airgap"), "ingest-service")
    assert found["TELEMETRY_HOST"] == "telemetry-database.data.svc"
    assert ours(compose(changed("dev", proxysql={"enabled": False}))[0]) == set()


def test_an_image_that_is_given_is_the_one_that_runs() -> None:
    overrides = {"images": {"overrides": {"proxysql": IMAGE}}}
    recording, _ = compose(changed("airgap", **overrides))
    (made,) = [r for r in recording.of("StatefulSet") if r.name == PROXY]
    (container,) = made.inputs["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGE


def test_migrations_and_backups_go_past_it() -> None:
    (made,) = [r for r in composed("dev").of("Job") if r.name.startswith("migrate-telemetry")][:1]
    assert PROXY not in str(made.inputs)


@pytest.mark.parametrize(
    ("stack", "section", "message"),
    [
        ("airgap", {"enabled": True}, r"images\.overrides\.proxysql"),
        ("dev", {"connections": 100}, r"maxConnections is 70; raise it to 4\d\d, or lower"),
        ("dev", {"maxClients": 10}, r"proxysql\.maxClients is 10; raise it to"),
    ],
)
def test_what_would_fail_is_refused_with_the_way_out(
    stack: str, section: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        changed(stack, proxysql=section)
