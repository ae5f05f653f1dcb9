"""What is worth protecting is not for whoever finds the way in."""

from collections.abc import Iterator, Sequence
from typing import Final

from policies.resources import Resource, pod_of, rows
from policies.rule import StackRule

_MODE: Final = "AUTH_MODE"


def protected_asks_for_tokens(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str]]:
    """A stack that protects what it holds is one that others depend on: its APIs ask who calls."""
    if not any(resource.protect for resource in resources):
        return
    for resource in resources:
        pod = pod_of(resource)
        for name, container in pod.containers() if pod else ():
            for variable in rows(container, "env"):
                if variable.get("name") == _MODE and variable.get("value") != "required":
                    yield (
                        resource,
                        f"container {name}: {_MODE} is not required, so everybody who reaches it "
                        "may do everything; set millrace:authentication's required to true",
                    )


STACK_RULES: Final = (
    StackRule(
        "tokens-required", "The APIs of a protected stack take tokens.", protected_asks_for_tokens
    ),
)
