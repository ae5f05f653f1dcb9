"""All rules of the project, in one place for the adapters."""

from typing import Final

from policies import (
    rules_availability,
    rules_containers,
    rules_namespaces,
    rules_pod_security,
    rules_scaling,
    rules_secrets,
    rules_state,
    rules_tokens,
)
from policies.rule import Rule, StackRule

RULES: Final[tuple[Rule, ...]] = (
    *rules_containers.RULES,
    *rules_pod_security.RULES,
    *rules_secrets.RULES,
    *rules_namespaces.RULES,
    *rules_availability.RULES,
    *rules_state.RULES,
)
STACK_RULES: Final[tuple[StackRule, ...]] = (
    *rules_availability.STACK_RULES,
    *rules_scaling.STACK_RULES,
    *rules_tokens.STACK_RULES,
)
