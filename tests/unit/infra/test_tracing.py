"""What services are told about traces, as the stack files have it and with a collector."""

import json
import tomllib
from typing import Any

import pytest
from pydantic import ValidationError

from components.kit import paths
from infra.model.services import SERVICES
from infra.model.settings import PlatformSettings, TracingSettings
from infra.model.variables import TRACES, makes_spans, settable
from infra.stack.diff import ROOT, load_stack
from policies.rule import evaluate
from policies.rules import RULES, STACK_RULES
from services.shared.tracing.settings import TracingSettings as OfAService
from tests.harness.composed import STACKS, compose, composed
from tests.harness.recording import Recording
from tests.policy.adapter import resources


def with_collector(endpoint: str = "http://collector.monitoring.svc:4318") -> PlatformSettings:
    said = TracingSettings(endpoint=endpoint, sampling=0.25)
    return load_stack("airgap").model_copy(update={"tracing": said})


def variables(recording: Recording, service: str) -> dict[str, Any]:
    template = recording.one("Deployment", service).inputs["spec"]["template"]
    [container] = [one for one in template["spec"]["containers"] if one["name"] == service]
    return {
        one["name"]: one.get("value") or one["valueFrom"]["fieldRef"]["fieldPath"]
        for one in container["env"]
        if one["name"].startswith("TRACING_")
    }


@pytest.mark.parametrize("stack", STACKS)
def test_spans_go_to_the_platforms_own_collector_unless_another_is_named(stack: str):
    assert load_stack(stack).tracing.endpoint is None
    for service in SERVICES:
        told = variables(composed(stack), service.name)
        assert told["TRACING_ENDPOINT"] == "https://collector.monitoring.svc:4318"
        assert told["TRACING_CA_FILE"] == paths.CA_FILE


def test_with_one_every_service_is_told_where_spans_go_and_what_they_say_of_it():
    recording = compose(with_collector())[0]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for service in SERVICES:
        assert variables(recording, service.name) == {
            "TRACING_ENDPOINT": "http://collector.monitoring.svc:4318",
            "TRACING_SAMPLING": "0.25",
            "TRACING_SERVICE_VERSION": project["version"],
            "TRACING_NAMESPACE": "apps",
            "TRACING_POD": "metadata.name",
        }
    found = evaluate(RULES, STACK_RULES, resources(recording))
    assert not found, "\n".join(map(str, found))


def test_over_tls_the_collectors_certificate_leads_to_the_internal_ca():
    recording = compose(with_collector("https://collector.monitoring.svc:4318"))[0]
    said = variables(recording, "rest-service")
    assert said["TRACING_CA_FILE"] == paths.CA_FILE


def test_every_service_makes_spans_and_a_stack_file_sets_the_rest_of_its_variables():
    own = {f"TRACING_{name}".upper() for name in OfAService.model_fields}
    for service in SERVICES:
        assert makes_spans(service)
        left = {name for name in settable(service) if name.startswith("TRACING_")}
        assert left == own - set(TRACES)
    assert set(TRACES) < own


@pytest.mark.parametrize(
    "wrong",
    [{"sampling": 1.5}, {"sampling": -1}, {"endpoint": "collector"}, {"endpoint": "http://a/"}],
)
def test_what_no_process_would_take_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        TracingSettings.model_validate(wrong)


def test_grafana_asks_jaeger_where_the_stack_has_one_and_no_store_elsewhere():
    def sources(store: str | None) -> dict[str, str]:
        stack = load_stack("prod")
        said = stack.tracing.model_copy(update={"store": store})
        made = compose(stack.model_copy(update={"tracing": said}))[0]
        config = made.one("ConfigMap", "grafana-config").inputs["data"]["sources.yaml"]
        return {one["type"]: one["url"] for one in json.loads(config)["datasources"]}

    assert sources(None)["jaeger"] == "https://jaeger.monitoring.svc:16686"
    assert "jaeger" not in sources("traces.mill.example:4317")
