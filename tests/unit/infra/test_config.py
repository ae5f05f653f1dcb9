"""Bad stack files: every problem in one error, each with key, reason and way out."""

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import pulumi
import pytest
import yaml
from pulumi.runtime.config import set_all_config

from infra.model.schema import stack_file_schema
from infra.stack import config
from infra.stack.config import ConfigError, load_file
from tests.harness.population import SMALL


def stack_file(**changes: Any) -> str:
    """A valid stack file with some top-level keys replaced; None removes a key."""
    keys: dict[str, Any] = {
        "kubernetes": {},
        "images": {"source": "official"},
        "kafka": {},
        "postgres": {},
        "redis": {},
        "servers": {},
        "services": {},
        "entry": {"ports": {"http": 30080}},
        "authentication": {},
        "backups": {},
        "rotation": {},
        "monitoring": {},
        "loadtest": {},
        "logs": {},
        "tracing": {},
        "proxysql": {},
        "protect": False,
    } | changes
    return yaml.safe_dump(
        {"config": {f"millrace:{k}": v for k, v in keys.items() if v is not None}}
    )


def problems(**changes: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        load_file(stack_file(**changes), "Pulumi.dev.yaml", SMALL)
    return str(raised.value)


def test_a_mistake_in_a_range_is_named_by_the_key_that_the_stack_file_has():
    text = problems(services={"front": {"replicas": {"min": 1, "mx": 3}}})
    assert "millrace:services.front.replicas.max: is missing" in text
    assert "did you mean millrace:services.front.replicas.max?" in text
    text = problems(services={"front": {"replicas": "three"}})
    assert "millrace:services.front.replicas: Input should be a valid integer" in text


def test_a_valid_stack_file_loads_with_the_defaults_of_the_models():
    settings = load_file(stack_file(), "Pulumi.dev.yaml", SMALL)
    assert settings.kafka.brokers == 1
    assert settings.services.of("front").replicas == 2


def test_a_mistyped_top_level_key_is_named_with_the_file_and_the_key_that_was_meant():
    text = problems(kafak={})
    assert "Pulumi.dev.yaml has 1 problem" in text
    assert "millrace:kafak: there is no such key; did you mean millrace:kafka?" in text


def test_an_unknown_top_level_key_lists_the_known_ones():
    assert "remove it, or use one of kubernetes, images, kafka" in problems(zookeeper={})


def test_a_mistyped_nested_key_is_named_with_its_path():
    text = problems(kafka={"resources": {"requests": {"cpus": "1", "memory": "1Gi"}}})
    assert (
        "millrace:kafka.resources.requests.cpus: there is no such key; did you mean "
        "millrace:kafka.resources.requests.cpu?" in text
    )


def test_a_mistyped_key_below_a_services_name_is_named_with_its_path():
    text = problems(services={"front": {"replica": 3}})
    assert "did you mean millrace:services.front.replicas?" in text


def test_a_wrong_type_names_the_key_the_type_and_the_value():
    text = problems(kafka={"brokers": "three"})
    assert "millrace:kafka.brokers: Input should be a valid integer" in text
    assert '"three"' in text


def test_a_number_that_has_to_be_text_is_to_be_quoted():
    limits = {"cpu": 1, "memory": "1Gi"}
    resources = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": limits}
    text = problems(kafka={"resources": resources})
    assert (
        "millrace:kafka.resources.limits.cpu: Input should be a valid string, but it is 1" in text
    )
    assert "write it in quotes" in text


def test_a_number_written_as_text_is_refused_rather_than_guessed():
    assert "millrace:kafka.brokers" in problems(kafka={"brokers": "3"})


def test_a_text_of_another_form_is_answered_with_one_that_would_do():
    mail = {"to": ["ops"], "sender": "millrace@mill.test", "smarthost": "smtp.mill.test"}
    text = problems(monitoring={"receivers": {"mail": {"email": mail}}, "pages": ["mail"]})
    assert (
        "millrace:monitoring.receivers.mail.email.smarthost: String should match pattern "
        "'^[^\\s:]+:[0-9]{1,5}$', but it is \"smtp.mill.test\"; write it like "
        '"smtp.mill.example:587"' in text
    )
    assert "email.to.0: String should match pattern" in text
    assert 'write it like "ops@mill.example"' in text
    text = problems(tracing={"store": "traces"})
    assert 'write it like "traces.mill.example:4317"' in text


def test_a_mistyped_key_of_a_receiver_is_named_with_its_path():
    text = problems(monitoring={"receivers": {"mail": {"emial": {}}}, "pages": ["mail"]})
    assert "did you mean millrace:monitoring.receivers.mail.email?" in text


def patterns(node: Any) -> Iterator[tuple[str, list[str]]]:
    if isinstance(node, dict):
        table = cast("dict[str, Any]", node)
        if isinstance(table.get("pattern"), str):
            yield table["pattern"], table.get("examples", [])
        for inner in table.values():
            yield from patterns(inner)
    elif isinstance(node, list):
        for inner in cast("list[Any]", node):
            yield from patterns(inner)


def test_every_example_is_of_the_form_that_it_is_one_of():
    found = [(p, e) for p, examples in patterns(stack_file_schema()) for e in examples]
    assert len(found) >= 8
    assert not [(p, e) for p, e in found if not re.search(p, e)]


def test_an_object_where_a_scalar_belongs_is_refused():
    assert "millrace:protect: Input should be a valid boolean" in problems(protect={"yes": 1})


def test_a_missing_key_is_named():
    assert "millrace:redis: is missing; add it to the stack file" in problems(redis=None)


def test_all_problems_come_in_one_error():
    text = problems(kafak={}, redis=None, kafka={"broker": 1}, entry={"ports": {"http": 80}})
    assert "has 4 problems; nothing was touched" in text
    for key in ("millrace:kafak", "millrace:redis", "millrace:kafka.broker", "millrace:entry"):
        assert key in text


def test_a_cross_field_problem_of_the_whole_file_is_reported():
    assert "set kubernetes.volumeRetention to Retain" in problems(protect=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; write the settings under `config:`"),
        ("# nothing yet", "is empty; write"),
        ("[]", "has no `config:` table; write the settings under `config:`"),
        ("config: []", "has no `config:` table"),
        ("config: {1: 2}", "has no `config:` table"),
        ("config", "has no `config:` table"),
        ("config:\n  a: [", "is not YAML (line 2, column 7); correct it there"),
        ("a: \0", "is not YAML; correct it there"),
    ],
)
def test_what_is_no_stack_file_is_said_to_be_none_in_one_line(text: str, said: str):
    with pytest.raises(ConfigError) as raised:
        load_file(text, "Pulumi.x.yaml", SMALL)
    assert str(raised.value).startswith(f"Pulumi.x.yaml: {said}")
    assert "_StackFile" not in str(raised.value)
    assert "pydantic" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_key_without_a_namespace_is_the_projects_as_it_is_to_pulumi():
    text = stack_file(kafka=None)
    settings = load_file(f"{text}  kafka: {{brokers: 3}}\n", "Pulumi.dev.yaml", SMALL)
    assert settings.kafka.brokers == 3
    with pytest.raises(ConfigError, match="did you mean millrace:kafka"):
        load_file(f"{text}  kafak: {{}}\n  aws:region: x\n", "Pulumi.dev.yaml", SMALL)


def test_the_running_program_sees_keys_that_pulumi_itself_ignores():
    rows = yaml.safe_load(stack_file(kafak={}))["config"]
    set_all_config(
        {key: value if isinstance(value, str) else json.dumps(value) for key, value in rows.items()}
        | {"kubernetes:context": "someone else's"}
    )
    try:
        with pytest.raises(ConfigError, match="did you mean millrace:kafka"):
            config.load(SMALL)
    finally:
        set_all_config({})


def test_a_config_error_is_one_that_pulumi_prints_without_a_traceback():
    assert issubclass(ConfigError, pulumi.RunError)
