"""Endpoints that are called past the framework, which takes several times as long as they do.

The framework's routes of the same paths describe them in the OpenAPI document, and answer for the
methods that they lack (docs/decisions/0031-endpoints-past-the-framework.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
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
    headers: tuple[tuple[bytes, bytes], ...] = ()


Endpoint = Callable[[Call], Awaitable[Reply]]
Explain = Callable[[Exception], ProblemError | None]
"""Which problem an exception means; None: it is a mistake of ours."""

Takes = Callable[[str], bool]
"""Whether an endpoint is for this rest of a path."""

DIRECT = "millrace.direct"
"""Where in a request's scope its Found is."""


class Found(NamedTuple):
    """What answers a request."""

    template: str
    endpoint: Endpoint
    explain: Explain
    rest: str = ""
    """What the path has after the route's own part."""
    needs: str | None = None
    """The scope of a token that may call it; None: none is needed."""


class DirectRoutes:
    """Finds the endpoint of a request."""

    def __init__(self) -> None:
        self._whole: dict[tuple[str, str], Found] = {}
        self._open: list[tuple[str, str, Takes, Found]] = []

    def add(
        self,
        method: str,
        template: str,
        endpoint: Endpoint,
        explain: Explain,
        takes: Takes | None = None,
    ) -> None:
        """`template` is a path, or one that ends in `/{name:path}`, which may be anything, or in
        `/{name}`, of which this endpoint only `takes` some: the framework answers for the rest."""
        prefix, brace, _ = template.partition("{")
        found = Found(template, endpoint, explain)
        if not brace:
            self._whole[method, template] = found
            return
        if not (prefix.endswith("/") and (takes or template.endswith(":path}"))):
            raise ValueError(
                f"{template}: a direct route ends in /{{name:path}}, says what it takes of a"
                " /{name}, or has no parameter"
            )
        self._open.append((method, prefix, takes or _anything, found))

    def declare(self, needs: Mapping[tuple[str, str], str | None]) -> None:
        """What each route needs, by method and template: as the framework's of the same path."""
        self._whole = {
            (method, path): _needing(method, route, needs)
            for (method, path), route in self._whole.items()
        }
        self._open = [
            (method, prefix, takes, _needing(method, route, needs))
            for method, prefix, takes, route in self._open
        ]

    def find(self, method: str, path: str) -> Found | None:
        """None: the framework answers."""
        found = self._whole.get((method, path))
        if found is not None:
            return found
        for of, prefix, takes, route in self._open:
            if of == method and path.startswith(prefix) and takes(rest := path[len(prefix) :]):
                return Found(route.template, route.endpoint, route.explain, rest, route.needs)
        return None


def _needing(method: str, route: Found, needs: Mapping[tuple[str, str], str | None]) -> Found:
    if (method, route.template) not in needs:
        raise ValueError(
            f"{method} {route.template}: a direct route takes one of the framework with the same"
            " path, which describes it and says who may call it"
        )
    return route._replace(needs=needs[method, route.template])


def _anything(_rest: str) -> bool:
    return True
