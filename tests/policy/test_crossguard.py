"""The CrossGuard adapter: every rule is in the pack, and unknown values do not switch rules off."""

from typing import Any

import pytest
from pulumi_policy import (
    ResourceValidationPolicy,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policies.crossguard.adapter import plain, policies
from policies.resources import UNKNOWN, Resource
from policies.rules import RULES, STACK_RULES
from policies.rules_containers import image_is_exact, requests_and_limits
from tests.policy.examples import CONTAINER, TYPES, changed


def test_every_rule_is_a_policy_of_the_pack():
    made = policies()
    assert [p.name for p in made] == [rule.name for rule in (*RULES, *STACK_RULES)]
    assert sum(isinstance(p, ResourceValidationPolicy) for p in made) == len(RULES)
    assert sum(isinstance(p, StackValidationPolicy) for p in made) == len(STACK_RULES)


@pytest.fixture
def preview() -> Any:
    """A Deployment as CrossGuard hands it over while its image is still to be built."""
    resource = changed(
        "Deployment",
        (f"{CONTAINER}.image", UNKNOWN_STRING_VALUE),
        (f"{CONTAINER}.resources.limits", {}),
    )
    return plain(unknown_checking_proxy(dict(resource.props)))


def test_an_unknown_value_becomes_unknown_and_the_rest_stays_readable(preview: Any):
    container = preview["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] is UNKNOWN
    assert container["name"] == "web"


def test_a_rule_still_finds_what_is_known_beside_an_unknown_value(preview: Any):
    seen = Resource(TYPES["Deployment"], "web", preview)
    assert list(image_is_exact(seen)) == []
    assert len(list(requests_and_limits(seen))) == 1
