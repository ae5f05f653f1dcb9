"""A typed client for documents; what carries its requests is the caller's choice."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter

from loadtests.documents.ways import ASYNC, Way
from loadtests.exchange import Reply, Request, RequestFailed, Transport, expect, parse


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


_BATCH = TypeAdapter(list[Document])
T = TypeVar("T")


class Documents:
    """Writes and reads documents, each with one request."""

    def __init__(self, transport: Transport, way: Way = ASYNC) -> None:
        self._transport = transport
        self.way = way

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
            expect(reply, self.way.accepted)
            if parse(Ids, reply).ids != [document.id for document in documents]:
                raise RequestFailed("acknowledged under other ids than given")

        way = self.way
        self._transport.exchange(Request(way.post, "POST", way.path, body), judge)

    def read(self, document_id: str) -> Document:
        """The document of an id.

        Raises:
            RequestFailed: there is none, or it is none of ours.
        """

        def judge(reply: Reply) -> Document:
            expect(reply, 200)
            return parse(Document, reply)

        return self._get(document_id, judge)

    def read_back(self, written: Document) -> None:
        """See a document that was just acknowledged, with the value it was given last.

        Raises:
            RequestFailed: also for a stale read, which the reason calls so.
        """

        def judge(reply: Reply) -> None:
            if reply.status == 404:
                raise RequestFailed("stale read: 404 for what was acknowledged just before")
            expect(reply, 200)
            found = parse(Document, reply)
            if found.value < written.value:
                raise RequestFailed("stale read: an older value than the one just acknowledged")
            if found != written:
                raise RequestFailed("another document than the one written")

        self._get(written.id, judge)

    def _get(self, document_id: str, judge: Callable[[Reply], T]) -> T:
        way = self.way
        return self._transport.exchange(Request(way.get, "GET", f"{way.path}/{document_id}"), judge)

    def page(self, limit: int = 50, cursor: str | None = None) -> Page:
        """A page of the documents that are stored, newest first.

        Raises:
            RequestFailed: there was none, or with more documents than asked for.
        """

        def judge(reply: Reply) -> Page:
            expect(reply, 200)
            found = parse(Page, reply)
            if len(found.items) > limit:
                raise RequestFailed("a page with more documents than asked for")
            return found

        path = f"{self.way.path}?limit={limit}"
        path += f"&cursor={cursor}" if cursor is not None else ""
        return self._transport.exchange(Request(self.way.page, "GET", path), judge)
