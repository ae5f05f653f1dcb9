"""The two ways of documents into the constrained store."""

from dataclasses import dataclass

from loadtests.target import Target


@dataclass(frozen=True)
class Way:
    """Where documents are written and read: both ways answer the same shapes."""

    target: Target
    entry: str
    """The entry of the stack whose port answers."""
    path: str
    accepted: int
    """The status of a write that succeeded."""
    table: str
    """Of the constrained store's database: where its documents end up."""

    @property
    def post(self) -> str:
        """What statistics call a write."""
        return f"POST {self.path}"

    @property
    def get(self) -> str:
        """What statistics call a read of one document."""
        return f"GET {self.path}/{{id}}"

    @property
    def page(self) -> str:
        """What statistics call a page of the list."""
        return f"GET {self.path}"


ASYNC = Way("async", entry="data", path="/api/data", accepted=202, table="documents")
"""Acknowledged once it is durable in the stream; stored soon after."""
SYNC = Way("sync", entry="http", path="/data", accepted=201, table="synchronous_documents")
"""Acknowledged once it is stored."""
WAYS: dict[Target, Way] = {way.target: way for way in (ASYNC, SYNC)}
