"""A platform that answers every request with one reply."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from loadtests.exchange import Reply, Request

T = TypeVar("T")


@dataclass
class Answering:
    """Carries requests to it."""

    reply: Reply
    requests: list[Request] = field(default_factory=list[Request])

    def exchange(self, request: Request, judge: Callable[[Reply], T]) -> T:
        self.requests.append(request)
        return judge(self.reply)
