"""Variables of services in a stack file: known, typed, and given to whom they are for."""

from typing import Any

import pytest

from docs.reference import variables as written
from infra.model import variables
from infra.model.records import RECORDS
from infra.model.settings import KafkaSettings, PlatformSettings
from infra.stack.apps import _environment
from infra.stack.config import ConfigError, load_file
from tests.unit.infra.test_config import stack_file


def load(**services: dict[str, Any]) -> PlatformSettings:
    given = {name.replace("_", "-"): {"environment": of} for name, of in services.items()}
    ports = {"ports": {"http": 30080, "data": 30081, "auth": 30082, "grpc": 30051}}
    servers = {"mysql": {"client-database": {"maxConnections": 110}}}
    return load_file(stack_file(services=given, entry=ports, servers=servers), "Pulumi.dev.yaml")


def told(settings: PlatformSettings) -> dict[str, dict[str, str]]:
    """By service, what its process is told beside what builder and bindings say."""
    return {
        record.name: _environment(record, settings.services.of(record.name), KafkaSettings())
        for record in RECORDS.services
    }


def test_the_file_of_variables_is_as_the_services_settings_have_it():
    assert written.FILE.read_text() == written.current(), "make docs"


def test_a_variable_reaches_its_service_as_text_and_no_other():
    settings = load(
        ingest_service={"INGEST_PAGE_SECONDS": 0.5, "INGEST_MAX_QUEUE": 300000},
        event_worker={"KAFKA_LEAVE_ON_STOP": True},
    )
    of = told(settings)
    assert of["ingest-service"] == {
        "LOG_LEVEL": "INFO",
        "INGEST_PAGE_SECONDS": "0.5",
        "INGEST_MAX_QUEUE": "300000",
    }
    assert of["event-worker"]["KAFKA_LEAVE_ON_STOP"] == "true"
    assert of["rest-service"] == {"LOG_LEVEL": "INFO"}


def test_what_is_said_of_all_reaches_those_that_read_it_unless_they_have_their_own():
    of = told(
        load(
            default={"ACCESS_LOG": "all", "WRITER_WORKERS": 2},
            rest_service={"ACCESS_LOG": "notable"},
        )
    )
    assert {name: env["ACCESS_LOG"] for name, env in of.items()} == {
        **dict.fromkeys(RECORDS.service_names, "all"),
        "rest-service": "notable",
    }
    assert [name for name, env in of.items() if "WRITER_WORKERS" in env] == ["stream-writer"]


@pytest.mark.parametrize(
    ("service", "name", "value", "said"),
    [
        ("ingest_service", "INGEST_HIHG_WATER", 1, "did you mean 'INGEST_HIGH_WATER'?"),
        ("ingest_service", "WRITER_WORKERS", 1, "there is no variable 'WRITER_WORKERS'"),
        ("default", "ACESS_LOG", "all", "did you mean 'ACCESS_LOG'?"),
        ("default", "ACCESS_LOG", "some", "should be 'notable' or 'all', but it is 'some'"),
        ("ingest_service", "INGEST_MAX_DOCUMENTS", 1001, "less than or equal to 1000"),
        ("ingest_service", "INGEST_MAX_DOCUMENTS", "many", "valid integer"),
        ("stream_writer", "WRITER_WATCH_INTERVAL_SECONDS", "inf", "finite number"),
        ("ingest_service", "INGEST_MAX_DOCUMENTS", True, "valid integer"),
        ("ingest_service", "INGEST_MAX_DOCUMENTS", [1], "a variable holds nothing else"),
        ("ingest_service", "INGEST_MEMORY_HIGH_PERCENT", 100, "less than 100"),
        ("ingest_service", "INGEST_MEMORY_BYTES", 1, "there is no variable"),
        ("ingest_service", "LOG_LEVEL", "DEBUG", "key of its own; write logLevel"),
        ("stream_writer", "WRITER_ID", "me", "there is no variable 'WRITER_ID'"),
        ("event_worker", "KAFKA_TOPICS", "mine", "there is no variable 'KAFKA_TOPICS'"),
        ("rest_service", "DATABASE_HOST", "elsewhere", "there is no variable 'DATABASE_HOST'"),
        ("rest_service", "HTTP_PORT", 8081, "there is no variable 'HTTP_PORT'"),
    ],
)
def test_what_a_process_would_refuse_or_not_hear_is_named_by_file_and_key(
    service: str, name: str, value: object, said: str
):
    with pytest.raises(ConfigError) as raised:
        load(**{service: {name: value}})
    key = f"millrace:services.{service.replace('_', '-')}.environment.{name}: "
    [line] = [line for line in str(raised.value).splitlines() if key in line]
    assert "Pulumi.dev.yaml has 1 problem" in str(raised.value)
    assert said in line


def test_every_mistake_is_reported_at_once():
    with pytest.raises(ConfigError) as raised:
        load(ingest_service={"A": 1, "INGEST_MAX_DEPTH": 0}, stream_writer={"B": 1})
    assert "3 problems" in str(raised.value)


def test_every_variable_accepts_its_own_default_and_none_is_set_twice():
    for record in RECORDS.services:
        settable = variables.settable(record)
        assert settable
        assert not {*settable} & {*variables.CONSUMERS, "LOG_LEVEL", *record.pod_name_env}
        for name in settable:
            with pytest.raises(ConfigError):
                load(**{record.name.replace("-", "_"): {name: {"no": "scalar"}}})
