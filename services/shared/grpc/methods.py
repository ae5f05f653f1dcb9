"""What handles the methods of a service: a table that is held against the service's descriptor."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import MethodDescriptor

from services.contracts.scopes import SCOPES
from services.shared.grpc.calls import Call
from services.shared.grpc.errors import Explain, StatusError

Answer = Callable[[Any, Call], Awaitable[Any]]
Tell = Callable[[Any, Call], AsyncIterator[Any]]


class TableError(Exception):
    """A table that does not fit its service; the message names the method and the way out."""


@dataclass(frozen=True, slots=True)
class Openly:
    """Needs no token; `why` is for who reads the code."""

    why: str


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a service.

    `handler` takes the request's message and the call. It is a coroutine function that gives the
    response's message, or, of a method that streams, an async generator function of them; where
    the client streams, it is given an async iterator of messages. `needs`: the scope of a token
    that may call it. `quiet`: its calls are logged only when they go wrong, are no part of any
    trace but their caller's, and are taken however many others there are.
    """

    name: str
    handler: Answer | Tell
    needs: str | Openly
    quiet: bool = False


def _nothing(_error: Exception) -> StatusError | None:
    return None


@dataclass(frozen=True, slots=True)
class Service:
    """A service with a method for each of its descriptor's.

    `descriptor`: of the messages' module, in its `services_by_name`. `explain`: which status an
    exception of the handlers means, but for StatusError. `name`: where it answers under another
    name than the descriptor's.
    """

    descriptor: Any
    methods: Sequence[Method]
    explain: Explain = _nothing
    name: str = ""

    @property
    def full_name(self) -> str:
        """Package and name."""
        return self.name or str(self.descriptor.full_name)


def matched(service: Service) -> list[tuple[Method, MethodDescriptor]]:
    """Each method with what the contract says of it.

    Raises:
        TableError: one is missing, unknown, there twice, of another kind, or for no known scope.
    """
    of_contract: Mapping[str, MethodDescriptor] = service.descriptor.methods_by_name
    names = [method.name for method in service.methods]
    where = service.full_name
    for name in names:
        if name not in of_contract:
            raise TableError(f"{where} has no method {name}; it has {', '.join(of_contract)}")
        if names.count(name) > 1:
            raise TableError(f"{where}.{name} has more than one handler; leave one")
    if missing := [name for name in of_contract if name not in names]:
        raise TableError(f"{where}: nothing handles {', '.join(missing)}; add a Method for each")
    found = [(method, of_contract[method.name]) for method in service.methods]
    for method, said in found:
        _insist(f"{where}.{method.name}", method, said)
    return found


def _insist(where: str, method: Method, said: MethodDescriptor) -> None:
    if said.server_streaming and not inspect.isasyncgenfunction(method.handler):
        raise TableError(f"{where} streams: its handler must be an async generator function")
    if not said.server_streaming and not inspect.iscoroutinefunction(method.handler):
        raise TableError(f"{where} answers once: its handler must be a coroutine function")
    if said.client_streaming and not said.server_streaming:
        raise TableError(f"{where}: streams of clients that are answered once are not served here")
    if isinstance(method.needs, str) and method.needs not in SCOPES:
        raise TableError(
            f"{where}: there is no scope {method.needs!r}; services/contracts/scopes.py has them"
        )


UNKNOWN: Final = "unknown"
"""In metrics: any service and method that there is not."""
