"""The page on this machine's loopback, made anew when it is asked for and old enough.

While nobody looks, Prometheus is asked nothing.
"""

import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from bootstrap.prometheus import AwayError, QueryError

HOST: Final = "127.0.0.1"
_OURS: Final = frozenset({"127.0.0.1", "localhost"})


class Kept:
    """A page that is made anew when it is older than `seconds`; who asks meanwhile waits for it."""

    def __init__(self, make: Callable[[], str], seconds: float) -> None:
        self._make = make
        self._seconds = seconds
        self._lock = threading.Lock()
        self._text = ""
        self._made = float("-inf")

    def page(self) -> str:
        """Raises AwayError, QueryError."""
        with self._lock:
            # A browser's clock and this one do not agree to the second.
            if time.monotonic() - self._made >= 0.9 * self._seconds:
                self._text = self._make()
                self._made = time.monotonic()
            return self._text


class PageServer(ThreadingHTTPServer):
    """Bound to the loopback, and not serving yet; port 0 is any. Raises OSError."""

    def __init__(self, kept: Kept, port: int) -> None:
        super().__init__((HOST, port), _Handler)
        self.kept = kept


class _Handler(BaseHTTPRequestHandler):
    """Answers for `/` alone, and only to who knows it as this machine's: a page of some other site,
    whose name leads here, is not shown the platform."""

    server_version = "millrace"
    sys_version = ""

    def do_GET(self) -> None:
        assert isinstance(self.server, PageServer)
        name = self.headers.get("host", "").rpartition(":")[0] or self.headers.get("host", "")
        if name not in _OURS:
            self._say(HTTPStatus.MISDIRECTED_REQUEST, "this is another machine's loopback\n")
        elif self.path.partition("?")[0] != "/":
            self._say(HTTPStatus.NOT_FOUND, "the page is at /\n")
        else:
            try:
                text = self.server.kept.page()
            except (AwayError, QueryError) as error:
                self._say(HTTPStatus.BAD_GATEWAY, f"{error}\n")
            else:
                self._say(HTTPStatus.OK, text, "text/html")

    def _say(self, status: HTTPStatus, text: str, kind: str = "text/plain") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", f"{kind}; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-store")
        self.send_header("x-content-type-options", "nosniff")
        self.send_header("x-frame-options", "DENY")
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:
            return  # who asked is gone

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the terminal is for the address."""
