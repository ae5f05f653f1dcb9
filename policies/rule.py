"""A rule: a name, what it asks for, and a plain function that finds violations."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from policies.resources import Resource

Finding = str
"""What is wrong and the way out, in one sentence."""


@dataclass(frozen=True)
class Rule:
    """Looks at one resource at a time."""

    name: str
    description: str
    check: Callable[[Resource], Iterable[Finding]]


@dataclass(frozen=True)
class StackRule:
    """Looks at all resources of a stack together."""

    name: str
    description: str
    check: Callable[[Sequence[Resource]], Iterable[tuple[Resource, Finding]]]


@dataclass(frozen=True)
class Violation:
    """A finding with the rule and the resource it is about."""

    rule: str
    resource: Resource
    finding: Finding

    def __str__(self) -> str:
        return f"{self.rule}: {self.resource.type} {self.resource.name}: {self.finding}"


def evaluate(
    rules: Iterable[Rule], stack_rules: Iterable[StackRule], resources: Sequence[Resource]
) -> list[Violation]:
    """Run every rule over every resource, and every stack rule over all of them."""
    found = [
        Violation(rule.name, resource, finding)
        for rule in rules
        for resource in resources
        for finding in rule.check(resource)
    ]
    found += [
        Violation(rule.name, resource, finding)
        for rule in stack_rules
        for resource, finding in rule.check(resources)
    ]
    return found
