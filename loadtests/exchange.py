"""One request and its answer; what carries the requests is the caller's choice.

``make load`` sends them through Locust, the tests through httpx: both judge an answer by the same
rules, and both know from a failure what may have become of a write.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from loadtests.outcome import Outcome

JSON = "application/json"


class _Problem(BaseModel):
    type: str = ""


@dataclass(frozen=True)
class Request:
    """What is sent; ``name`` is the same for all requests of a kind."""

    name: str
    method: str
    path: str
    body: bytes | None = None
    content_type: str = JSON
    """Of the body, where there is one."""


@dataclass(frozen=True)
class Reply:
    """What was answered."""

    status: int
    body: bytes
    retry_after: str | None = None
    """What the header of that name says; None without one."""


class RequestFailed(Exception):
    """No answer, or not the one that is due; the text names what came and never an id.

    ``outcome`` is what it says about a write.
    """

    def __init__(self, reason: str, outcome: Outcome = Outcome.UNKNOWN) -> None:
        super().__init__(reason)
        self.outcome = outcome


T = TypeVar("T")


class Transport(Protocol):
    """Carries a request to the platform."""

    def exchange(self, request: Request, judge: Callable[[Reply], T]) -> T:
        """Send it and give what the judge makes of the reply.

        Raises:
            RequestFailed: there was no reply, or the judge did not accept it. Either is noted as
                the failure of this request where requests are counted.
        """
        ...


def expect(reply: Reply, status: int) -> None:
    """Raises RequestFailed for any other status."""
    if reply.status != status:
        raise RequestFailed(describe(reply), outcome_of(reply.status))


def outcome_of(status: int) -> Outcome:
    """What an answer that is no success says about a write.

    A 4xx refused it. After any other it may be in: a 503 says so when the acknowledgement got
    lost behind the service.
    """
    return Outcome.REFUSED if 400 <= status < 500 else Outcome.UNKNOWN


def describe(reply: Reply) -> str:
    """Status and kind of problem, like ``503 full``: the same for all of a kind.

    A 503 that does not say when to come again is another kind.
    """
    unsaid = reply.status == 503 and reply.retry_after is None
    more = " without Retry-After" if unsaid else ""
    try:
        problem = _Problem.model_validate_json(reply.body)
    except ValidationError:
        return f"{reply.status}{more}"
    return f"{reply.status} {problem.type.rpartition(':')[2]}".rstrip() + more


M = TypeVar("M", bound=BaseModel)


def parse(model: type[M], reply: Reply) -> M:
    """The body as a model.

    Raises:
        RequestFailed: it is none; the reason names the place and not what stood there.
    """
    try:
        return model.model_validate_json(reply.body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
        raise RequestFailed(
            f"{reply.status} with an unexpected body: {place or 'body'}: {first['type']}"
        ) from None
