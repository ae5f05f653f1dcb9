"""A program that stands for `kubectl proxy`: what it leads to answers as a test has it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

_PROGRAM = """#!{python}
import http.server, json, os, socketserver, sys

NONE = 404, json.dumps({{"kind": "Status", "reason": "NotFound", "message": "none"}})
answers = json.load(open(__file__ + ".answers"))
print(*sys.argv[1:], file=open(__file__ + ".asked", "w"))
print(os.getpid(), file=open(__file__ + ".pid", "w"))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "us"

    def do_GET(self):
        print(self.path, file=open(__file__ + ".paths", "a"))
        path, _, query = self.path.partition("?")
        status, text = answers.get(self.path) or answers.get(path) or NONE
        body = text.encode("utf-8", "surrogateescape")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


path = sys.argv[-1].removeprefix("--unix-socket=")
with Server(path, Handler) as server:
    print("Starting to serve on", path, flush=True)
    server.serve_forever()
"""


def proxying_kubectl(program: Path, answers: Mapping[str, tuple[int, str]]) -> None:
    """Write the program: status and text by path, with the query or without."""
    program.write_text(_PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    Path(f"{program}.answers").write_text(json.dumps(answers))
