"""A typed client for documents; what carries its requests is the caller's choice.

``make load`` sends them through Locust, the tests through httpx: both judge an answer by the same
rules, and both know from a failure what may have become of the write.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from loadtests.documents.ways import ASYNC, Way
from loadtests.outcome import Outcome


class Document(BaseModel):
    """A document of ours. ``value`` grows with every write of the id: the last one is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    value: int
    text: str = ""


class Ids(BaseModel):
    """The answer to a write."""

    ids: list[str]


class Page(BaseModel):
    """A page of the list. Others' documents may be on it, of any shape."""

    items: list[dict[str, object]]
    next_cursor: str | None


class _Problem(BaseModel):
    type: str = ""


_BATCH = TypeAdapter(list[Document])


@dataclass(frozen=True)
class Request:
    """What is sent; ``name`` is the same for all requests of a kind."""

    name: str
    method: str
    path: str
    body: bytes | None = None


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


class Documents:
    """Writes and reads documents, each with one request."""

    def __init__(self, transport: Transport, way: Way = ASYNC) -> None:
        self._transport = transport
        self._way = way

    def write(self, document: Document) -> None:
        """Write one document; returns once it is acknowledged.

        Raises:
            RequestFailed: it was not, or under another id.
        """
        self._post(document.model_dump_json().encode(), [document])

    def write_all(self, documents: Sequence[Document]) -> None:
        """Write a batch with one request; all or none are acknowledged.

        Raises:
            RequestFailed: as ``write``.
        """
        self._post(_BATCH.dump_json(list(documents)), documents)

    def _post(self, body: bytes, documents: Sequence[Document]) -> None:
        def judge(reply: Reply) -> None:
            _expect(reply, self._way.accepted)
            if _parse(Ids, reply).ids != [document.id for document in documents]:
                raise RequestFailed("acknowledged under other ids than given")

        way = self._way
        self._transport.exchange(Request(way.post, "POST", way.path, body), judge)

    def read(self, document_id: str) -> Document:
        """The document of an id.

        Raises:
            RequestFailed: there is none, or it is none of ours.
        """

        def judge(reply: Reply) -> Document:
            _expect(reply, 200)
            return _parse(Document, reply)

        return self._get(document_id, judge)

    def read_back(self, written: Document) -> None:
        """See a document that was just acknowledged, with the value it was given last.

        Raises:
            RequestFailed: also for a stale read, which the reason calls so.
        """

        def judge(reply: Reply) -> None:
            if reply.status == 404:
                raise RequestFailed("stale read: 404 for what was acknowledged just before")
            _expect(reply, 200)
            found = _parse(Document, reply)
            if found.value < written.value:
                raise RequestFailed("stale read: an older value than the one just acknowledged")
            if found != written:
                raise RequestFailed("another document than the one written")

        self._get(written.id, judge)

    def _get(self, document_id: str, judge: Callable[[Reply], T]) -> T:
        way = self._way
        return self._transport.exchange(Request(way.get, "GET", f"{way.path}/{document_id}"), judge)

    def page(self, limit: int = 50, cursor: str | None = None) -> Page:
        """A page of the documents that are stored, newest first.

        Raises:
            RequestFailed: there was none, or with more documents than asked for.
        """

        def judge(reply: Reply) -> Page:
            _expect(reply, 200)
            found = _parse(Page, reply)
            if len(found.items) > limit:
                raise RequestFailed("a page with more documents than asked for")
            return found

        path = f"{self._way.path}?limit={limit}"
        path += f"&cursor={cursor}" if cursor is not None else ""
        return self._transport.exchange(Request(self._way.page, "GET", path), judge)


def _expect(reply: Reply, status: int) -> None:
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


def _parse(model: type[M], reply: Reply) -> M:
    try:
        return model.model_validate_json(reply.body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
        raise RequestFailed(
            f"{reply.status} with an unexpected body: {place or 'body'}: {first['type']}"
        ) from None
