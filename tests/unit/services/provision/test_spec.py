"""Spec files of the provisioning Jobs."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.provision.spec import KafkaSpec, PostgresSpec
from services.shared.runtime.specs import SpecError, read


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    made: dict[str, str] = {}
    for name in ("password", "ca", "certificate", "key"):
        (tmp_path / name).write_text("x")
        made[name] = str(tmp_path / name)
    return made


def postgres(files: dict[str, str], **changes: Any) -> dict[str, Any]:
    return {
        "host": "postgres.data.svc",
        "admin_password_file": files["password"],
        "ca_file": files["ca"],
        "databases": [{"name": "restdb", "role": "restdb", "password_file": files["password"]}],
    } | changes


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_postgres_spec_has_the_usual_defaults(tmp_path: Path, files: dict[str, str]) -> None:
    spec = read(PostgresSpec, written(tmp_path, postgres(files)))
    assert (spec.port, spec.admin_user, spec.databases[0].name) == (5432, "postgres", "restdb")


def test_a_kafka_spec_names_topics_and_users(tmp_path: Path, files: dict[str, str]) -> None:
    content = {
        "bootstrap_servers": "kafka-0:9094",
        "client_servers": "kafka:9092",
        "ca_file": files["ca"],
        "certificate_file": files["certificate"],
        "key_file": files["key"],
        "topics": [{"name": "resource.created", "partitions": 6, "replication_factor": 1}],
        "users": [{"name": "event-worker", "password_file": files["password"], "groups": ["g"]}],
    }
    spec = read(KafkaSpec, written(tmp_path, content))
    assert spec.topics[0].config == {}
    assert spec.users[0].produce == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hosts": "x"}, "hosts"),
        ({"port": 0}, "port"),
        ({"databases": []}, "databases"),
        ({"ca_file": "/nowhere"}, "ca_file"),
        (
            {"databases": [{"name": 'x"; DROP', "role": "r", "password_file": "/n"}]},
            "databases.0.name",
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_file(
    tmp_path: Path, files: dict[str, str], change: dict[str, Any], named: str
) -> None:
    path = written(tmp_path, postgres(files, **change))
    with pytest.raises(SpecError) as caught:
        read(PostgresSpec, path)
    assert str(path) in str(caught.value)
    assert f"{named}: " in str(caught.value)


def test_a_missing_or_malformed_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="mount the spec there"):
        read(PostgresSpec, tmp_path / "none.json")
    with pytest.raises(SpecError, match=r"spec\.json"):
        read(PostgresSpec, written(tmp_path, "{"))
