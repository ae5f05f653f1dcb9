"""What keeps logs, as the stack files have it."""

from functools import cache
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from components.kit import pods
from components.monitoring import log_reader_config, loki_config
from infra.model.edges import LOG_READER_PORT, LOKI_PORT
from infra.model.objects import LOG_READER, LOGGING, LOKI
from infra.model.settings import LogsSettings, PlatformSettings
from infra.stack.diff import load_stack
from policies.rule import evaluate
from policies.rules import RULES, STACK_RULES
from tests.harness.composed import STACKS, compose
from tests.harness.recording import Recording
from tests.policy.adapter import resources

KEEPING = ("dev", "prod")


def settings(stack: str, **said: Any) -> PlatformSettings:
    chosen = LogsSettings.model_validate(said)
    images = load_stack(stack).images
    given = {**images.overrides, LOKI: "registry.example/loki:3.7.8@sha256:" + "ab" * 32}
    return load_stack(stack).model_copy(
        update={"logs": chosen, "images": images.model_copy(update={"overrides": given})}
    )


@cache
def made(stack: str, *, enabled: bool) -> Recording:
    """Built once, only read."""
    return compose(settings(stack, enabled=enabled))[0]


def of(found: Recording, kind: str, name: str) -> Any:
    return yaml.safe_load(next(iter(found.one(kind, name).inputs["data"].values())))


def test_logs_are_kept_where_that_costs_nobody_the_compiling():
    assert {stack for stack in STACKS if load_stack(stack).logs.enabled} == set(KEEPING)


def test_a_volume_that_holds_no_lines_is_refused():
    with pytest.raises(ValidationError, match=r"1Mi is too small for lines .* '1Gi' or more"):
        LogsSettings.model_validate({"storage": "1Mi"})
    assert LogsSettings.model_validate({"storage": "1Gi"}).storage == "1Gi"


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_that_keeps_none_has_nothing_of_it(stack: str):
    assert not [r for r in made(stack, enabled=False).resources if "lo" in r.name and _ours(r.name)]


def _ours(name: str) -> bool:
    return name.startswith((LOKI, LOG_READER, LOGGING))


@pytest.mark.parametrize("stack", STACKS)
def test_with_them_the_whole_platform_passes_every_rule(stack: str):
    found = evaluate(RULES, STACK_RULES, resources(made(stack, enabled=True)))
    assert not found, "\n".join(map(str, found))


def test_only_the_reader_is_lent_anything_of_the_node():
    found = made("dev", enabled=True)
    lent = {
        one.name
        for one in found.kubernetes()
        if "hostPath" in str(one.inputs) and one.kind != "ConfigMap"
    }
    assert lent == {LOG_READER}
    spec = found.one("DaemonSet", LOG_READER).inputs["spec"]["template"]
    assert spec["metadata"]["annotations"][pods.READS_NODE_LOGS]
    assert spec["spec"]["automountServiceAccountToken"] is False
    assert spec["spec"]["securityContext"]["supplementalGroups"] == [0]


def test_what_is_read_are_the_logs_of_the_platforms_pods_but_its_own():
    [logs] = of(made("dev", enabled=True), "ConfigMap", "log-reader-config")["receivers"].values()
    assert logs["include"] == [
        *(f"/var/log/pods/{name}_*/*/*.log*" for name in ("data", "apps", "monitoring"))
    ]


def test_nothing_is_given_up_while_the_store_is_away():
    document = yaml.safe_load(
        log_reader_config.configuration(namespaces=["data"], store="https://loki.there:3100")
    )
    [out], [into] = document["exporters"].values(), document["receivers"].values()
    assert out["endpoint"] == "https://loki.there:3100/otlp"
    assert out["retry_on_failure"]["max_elapsed_time"] == "0s", "for ever"
    queue = out["sending_queue"]
    assert queue["storage"] == "file_storage", "in memory it would be gone with the process"
    assert queue["block_on_overflow"] is True, "else what does not fit is dropped"
    assert into["retry_on_failure"] == {"enabled": True, "max_elapsed_time": "0s"}


def test_lines_are_kept_as_long_as_the_stack_says_and_told_to_nobody():
    document = of(
        compose(settings("prod", enabled=True, retentionDays=90))[0], "ConfigMap", "loki-config"
    )
    assert document["limits_config"]["retention_period"] == "2160h"
    assert document["compactor"]["retention_enabled"] is True
    assert document["analytics"]["reporting_enabled"] is False
    served = document["server"]
    assert {"cert_file", "key_file"} == served["http_tls_config"].keys()
    assert served["grpc_listen_address"] == "127.0.0.1"


def test_grafana_shows_them_where_there_are_any():
    def sources(*, enabled: bool) -> list[str]:
        config = made("prod", enabled=enabled).one("ConfigMap", "grafana-config").inputs["data"]
        return [one["name"] for one in yaml.safe_load(config["sources.yaml"])["datasources"]]

    assert sources(enabled=True) == ["Prometheus", "Loki", "Jaeger"]
    assert sources(enabled=False) == ["Prometheus", "Jaeger"]


def test_prometheus_asks_both_and_may_find_them():
    def jobs(*, enabled: bool) -> set[str]:
        found = of_prometheus(made("dev", enabled=enabled))
        return {one["job_name"] for one in found["scrape_configs"]}

    assert jobs(enabled=True) - jobs(enabled=False) == {LOKI, LOG_READER}
    roles = {r.name for r in made("dev", enabled=True).of("Role")}
    assert "prometheus-logging" in roles


def of_prometheus(found: Recording) -> Any:
    return yaml.safe_load(
        found.one("ConfigMap", "prometheus-config").inputs["data"]["prometheus.yml"]
    )


def test_the_ports_are_those_that_the_programs_listen_on():
    assert (LOKI_PORT, LOG_READER_PORT) == (loki_config.PORT, log_reader_config.OWN_PORT)
