"""Settings from the environment: what is wrong is named, what is secret is not."""

from pathlib import Path

import pytest

from services.shared.kafka.group import GroupSettings
from services.shared.runtime.settings import (
    DatabaseSettings,
    ServiceSettings,
    SettingsError,
    load,
    read_secret,
)


@pytest.fixture
def database_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in ("password", "ca.crt"):
        (tmp_path / name).write_text("x")
    for name, value in {
        "HOST": "postgres.data.svc",
        "NAME": "restdb",
        "USER": "restdb",
        "PASSWORD_FILE": str(tmp_path / "password"),
        "CA_FILE": str(tmp_path / "ca.crt"),
    }.items():
        monkeypatch.setenv(f"DATABASE_{name}", value)
    return monkeypatch


def test_a_complete_environment_is_read(database_environment: pytest.MonkeyPatch) -> None:
    settings = load(DatabaseSettings)
    assert (settings.host, settings.port, settings.pool_size) == ("postgres.data.svc", 5432, 10)


def test_every_fault_is_named_by_its_variable(database_environment: pytest.MonkeyPatch) -> None:
    database_environment.delenv("DATABASE_HOST")
    database_environment.setenv("DATABASE_PORT", "tcp://10.0.0.1:5432")
    database_environment.setenv("DATABASE_CA_FILE", "/nowhere/ca.crt")
    with pytest.raises(SettingsError) as caught:
        load(DatabaseSettings)
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "DATABASE_HOST",
        "DATABASE_PORT",
        "DATABASE_CA_FILE",
    ]
    assert "not set; give it a value" in lines[0]


def test_whom_a_consumer_reads_as_and_what_is_for_its_service_to_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAFKA_TOPICS", " , ")
    with pytest.raises(SettingsError) as caught:
        load(GroupSettings)
    for variable in ("KAFKA_GROUP_ID: not set", "KAFKA_DEAD_LETTER_TOPIC: not set"):
        assert variable in str(caught.value)
    assert "names no topic" in str(caught.value)


def test_a_rejected_value_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_NAME", "x")
    monkeypatch.setenv("LOG_LEVEL", "hunter2")
    with pytest.raises(SettingsError, match="LOG_LEVEL") as caught:
        load(ServiceSettings)
    assert "hunter2" not in str(caught.value)


def test_settings_hold_the_path_of_a_secret_and_never_its_content(
    database_environment: pytest.MonkeyPatch,
) -> None:
    settings = load(DatabaseSettings)
    settings.password_file.write_text("hunter2")
    assert "hunter2" not in repr(settings)
    assert read_secret(settings.password_file) == "hunter2"


def test_a_secret_loses_only_its_final_line_break(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(" pass word \r\n")
    assert read_secret(path) == " pass word "


def test_a_missing_or_empty_secret_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="mount the secret there"):
        read_secret(tmp_path / "none")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(SettingsError, match="the file is empty"):
        read_secret(tmp_path / "empty")
