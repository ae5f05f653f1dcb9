"""The whole platform of every stack, composed over recording mocks, passes every rule."""

import pytest

from infra.model.objects import MONITORING
from infra.model.records import RECORDS
from policies.rule import evaluate
from policies.rules import RULES, STACK_RULES
from tests.harness.composed import STACKS, composed
from tests.policy.adapter import resources


@pytest.mark.parametrize("stack", STACKS)
def test_the_whole_platform_passes_every_rule(stack: str):
    found = evaluate(RULES, STACK_RULES, resources(composed(stack)))
    assert not found, "\n".join(map(str, found))


def test_the_rules_saw_the_platform_and_not_an_empty_list():
    every = resources(composed("prod"))
    watching = [r for r in every if r.namespace == MONITORING]
    assert sum(r.kind == "StatefulSet" for r in watching) == 4
    seen = [r for r in every if r not in watching]
    archivers = [r for r in seen if r.kind == "Deployment" and r.name.endswith("-archiver")]
    assert archivers
    assert sum(r.kind == "Deployment" for r in seen) == len(RECORDS.services) + len(archivers)
    # Kafka has controllers beside its brokers there, every MySQL server copies, some a proxy.
    groups = 1 + len(RECORDS.server_names(engine="mysql"))
    groups += sum(server.proxied for server in RECORDS.servers)
    assert sum(r.kind == "StatefulSet" for r in seen) == len(RECORDS.servers) + groups
    assert any(r.protect for r in seen)
