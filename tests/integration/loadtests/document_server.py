"""A server of documents that knows what it was asked, for load that has to be accounted for."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from loadtests.documents.ways import ASYNC


class DocumentServer(ThreadingHTTPServer):
    """Keeps documents in memory. ``forgetful``: it acknowledges second values and drops them."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, forgetful: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.forgetful = forgetful
        self.documents: dict[str, Any] = {}
        self.asked: Counter[str] = Counter()
        self.lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> "DocumentServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def write(self, document: Any) -> None:
        with self.lock:
            self.asked[ASYNC.post] += 1
            if not (self.forgetful and document["id"] in self.documents):
                self.documents[document["id"]] = document

    def note(self, name: str) -> None:
        with self.lock:
            self.asked[name] += 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one packet: the client delays its acknowledgement of the first otherwise.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: DocumentServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.write(document)
        self._answer(202, {"ids": [document["id"]]})

    def do_GET(self) -> None:
        if "?" in self.path:
            self.server.note(ASYNC.page)
            self._answer(200, {"items": [], "next_cursor": None})
            return
        self.server.note(ASYNC.get)
        found = self.server.documents.get(self.path.rpartition("/")[2])
        self._answer(200 if found else 404, found or {"type": "urn:millrace:problem:none"})

    def _answer(self, status: int, body: Any) -> None:
        sent = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *_: object) -> None:
        pass
