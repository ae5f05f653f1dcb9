"""The load generator on the cluster, as the stack files have it."""

from functools import cache
from typing import Any

import pytest

from components.kit.quantities import amount
from components.workloads import load_generator
from infra.model.objects import LOADTEST
from infra.model.settings import LoadtestSettings, PlatformSettings
from infra.stack.diff import load_stack
from loadtests.run import pods
from policies.rule import evaluate
from policies.rules import RULES, STACK_RULES
from tests.harness.composed import STACKS, compose, composed
from tests.harness.recording import Recording
from tests.policy.adapter import resources


def with_generator(stack: str, **said: Any) -> PlatformSettings:
    images = load_stack(stack).images
    if "services" in images.overrides:  # who builds nothing gives both
        given = {**images.overrides, "loadtests": images.overrides["services"]}
        images = images.model_copy(update={"overrides": given})
    chosen = LoadtestSettings.model_validate({"enabled": True, **said})
    return load_stack(stack).model_copy(update={"loadtest": chosen, "images": images})


def made(stack: str, **said: Any) -> Recording:
    return compose(with_generator(stack, **said))[0]


@cache
def enabled(stack: str) -> Recording:
    """With nothing said but that; built once, only read."""
    return made(stack)


@pytest.mark.parametrize("stack", STACKS)
def test_no_stack_has_it_if_it_does_not_say_so(stack: str):
    found = composed(stack)
    assert not found.of("PodTemplate")
    assert not [r for r in found.of("Namespace") if r.name == LOADTEST]
    assert not [r for r in found.of("Image") if r.name == "loadtests"]


@pytest.mark.parametrize("stack", STACKS)
def test_with_it_the_whole_platform_still_passes_every_rule(stack: str):
    seen = resources(enabled(stack))
    assert [r for r in seen if r.kind == "PodTemplate"]
    found = evaluate(RULES, STACK_RULES, seen)
    assert not found, "\n".join(map(str, found))


def test_a_privileged_load_generator_would_be_seen_by_the_rules():
    recording = made("airgap")
    template = recording.one("PodTemplate", "load-generator").inputs["template"]
    template["spec"]["containers"][0]["securityContext"]["privileged"] = True
    assert evaluate(RULES, STACK_RULES, resources(recording))


def test_it_changes_nothing_of_the_rest():
    without = {r.urn for r in composed("airgap").resources}
    with_it = {r.urn for r in enabled("airgap").resources}
    assert without < with_it
    ours = {urn.rpartition("::")[2] for urn in with_it - without}
    assert ours == {"load-generator", "loadtest", "loadtest-default", "loadtests"}


def test_users_on_the_cluster_go_where_the_node_port_leads_or_come_through_the_balancer():
    def entries(stack: str) -> dict[str, str]:
        found = enabled(stack).one("PodTemplate", "load-generator")
        return dict(pods.site(found.inputs).entries)

    assert entries("airgap") == {
        "auth": "http://auth-service.apps.svc",
        "data": "http://ingest-service.apps.svc",
        "http": "http://rest-service.apps.svc",
    }
    assert set(entries("prod")) == {"auth", "data", "http"}
    assert all(url.startswith("https://") for url in entries("prod").values())


def test_the_stack_says_how_many_and_how_large():
    asked = {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"cpu": "1", "memory": "256Mi"},
    }
    found = made("airgap", workers=3, resources=asked).one("PodTemplate", "load-generator").inputs
    assert pods.site(found).workers == 3
    (container,) = found["template"]["spec"]["containers"]
    assert amount(container["resources"]["requests"]["cpu"]) == 0.1


def test_who_starts_a_run_and_the_stack_mean_the_same():
    assert (pods.NAMESPACE, pods.PORT) == (LOADTEST, load_generator.MASTER_PORT)
    assert (pods.WORKERS, pods.ENTRY) == (load_generator.WORKERS, load_generator.ENTRY)
