"""The project's rules as CrossGuard policies."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from policies.resources import UNKNOWN, Resource
from policies.rule import Rule, StackRule
from policies.rules import RULES, STACK_RULES


def plain(value: object) -> Any:
    """A policy's property tree as dicts and lists; values not known yet become UNKNOWN.

    CrossGuard's own tree raises at the first unknown value and so gives up a whole rule; most
    rules can say something about a pod whose image digest is still to come.
    """
    if isinstance(value, Mapping):
        tree = cast("Mapping[str, object]", value)
        return {key: _item(tree, key) for key in tree}
    if isinstance(value, Sequence) and not isinstance(value, str):
        items = cast("Sequence[object]", value)
        return [_item(items, index) for index in range(len(items))]
    return value


def _item(tree: Any, key: str | int) -> Any:
    try:
        return plain(tree[key])
    except UnknownValueError:
        return UNKNOWN


def resource_policy(rule: Rule) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        protect = bool(args.opts.protect)
        seen = Resource(args.resource_type, args.name, plain(args.props), protect)
        for finding in rule.check(seen):
            report(finding, None)

    return ResourceValidationPolicy(rule.name, rule.description, validate)


def stack_policy(rule: StackRule) -> StackValidationPolicy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        urns: dict[int, str] = {}
        resources: list[Resource] = []
        for found in args.resources:
            protect = bool(found.opts.protect)
            seen = Resource(found.resource_type, found.name, plain(found.props), protect)
            urns[id(seen)] = found.urn
            resources.append(seen)
        for about, finding in rule.check(resources):
            report(finding, urns[id(about)])

    return StackValidationPolicy(rule.name, rule.description, validate)


def policies() -> list[Policy]:
    """Every rule of the project as a policy."""
    return [*map(resource_policy, RULES), *map(stack_policy, STACK_RULES)]


LEVEL = EnforcementLevel.MANDATORY
