"""Endpoints that are called past the framework, which takes several times as long as they do.

The framework's routes of the same paths describe them in the OpenAPI document, and answer for the
methods that they lack (docs/decisions/0031-endpoints-past-the-framework.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.types import Scope

from services.shared.http.incoming import Fields
from services.shared.http.problem import ProblemError


class Call(NamedTuple):
    """A request with its body."""

    scope: Scope
    fields: Fields
    body: bytes
    rest: str
    """What the path has after the route's own part."""
    correlation_id: str
    traceparent: str


class Reply(NamedTuple):
    """An answer in JSON."""

    status: int
    body: bytes


Endpoint = Callable[[Call], Awaitable[Reply]]
Explain = Callable[[Exception], ProblemError | None]
"""Which problem an exception means; None: it is a mistake of ours."""

DIRECT = "millrace.direct"
"""Where in a request's scope its Found is."""


class Found(NamedTuple):
    """What answers a request."""

    template: str
    endpoint: Endpoint
    explain: Explain
    rest: str = ""
    """What the path has after the route's own part."""


class DirectRoutes:
    """Finds the endpoint of a request."""

    def __init__(self) -> None:
        self._whole: dict[tuple[str, str], Found] = {}
        self._open: list[tuple[str, str, Found]] = []

    def add(self, method: str, template: str, endpoint: Endpoint, explain: Explain) -> None:
        """`template` is a path, or one that ends in `/{name:path}`, which may be anything."""
        prefix, brace, _ = template.partition("{")
        found = Found(template, endpoint, explain)
        if not brace:
            self._whole[method, template] = found
            return
        if not (prefix.endswith("/") and template.endswith(":path}")):
            raise ValueError(
                f"{template}: a direct route ends in /{{name:path}} or has no parameter"
            )
        self._open.append((method, prefix, found))

    def find(self, method: str, path: str) -> Found | None:
        """None: the framework answers."""
        found = self._whole.get((method, path))
        if found is not None:
            return found
        for takes, prefix, route in self._open:
            if takes == method and path.startswith(prefix):
                return Found(route.template, route.endpoint, route.explain, path[len(prefix) :])
        return None
