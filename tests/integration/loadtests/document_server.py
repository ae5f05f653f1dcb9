"""A server of documents that knows what it was asked, for load that has to be accounted for."""

import json
from typing import Any

from loadtests.documents.ways import ASYNC
from tests.integration.loadtests.answering import CountingServer, Handler


class DocumentServer(CountingServer):
    """Keeps documents in memory. ``forgetful``: it acknowledges second values and drops them."""

    def __init__(self, forgetful: bool = False) -> None:
        super().__init__(_Handler)
        self.forgetful = forgetful
        self.documents: dict[str, Any] = {}

    def __enter__(self) -> "DocumentServer":
        super().__enter__()
        return self

    def write(self, document: Any) -> None:
        with self.lock:
            self.asked[ASYNC.post] += 1
            if not (self.forgetful and document["id"] in self.documents):
                self.documents[document["id"]] = document


class _Handler(Handler):
    server: DocumentServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def post(self) -> None:
        document = json.loads(self.body())
        self.server.write(document)
        self.answer(202, {"ids": [document["id"]]})

    def get(self) -> None:
        if "?" in self.path:
            self.server.note(ASYNC.page)
            self.answer(200, {"items": [], "next_cursor": None})
            return
        self.server.note(ASYNC.get)
        found = self.server.documents.get(self.path.rpartition("/")[2])
        self.answer(200 if found else 404, found or {"type": "urn:millrace:problem:none"})
