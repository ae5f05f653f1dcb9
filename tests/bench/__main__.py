"""python -m tests.bench [NAME]: the benchmarks, each with its rivals in the same run.

Without a name: which there are.
"""

# ruff: noqa: T201

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module

from tests.bench.client import NoClientError

BENCHES = {
    "rest-service": "resources read and created per second, beside bare FastAPI routes",
    "ingest": "documents acknowledged per second, through the stream and directly",
    "stream-to-store": "documents from the stream into a database of 100 flushes a second",
    "outbox-latency": "outbox events from their commit to Kafka, beside a relay made of a library",
    "token-check": "a request with tokens required, beside the same without",
    "tracing": "a request with spans, exported or not, beside the same without",
    "auth-tokens": "tokens per second and core, beside FastAPI that asks and hashes each time",
    "rollups": "points through windows and rollups, in the event loop alone and in the pool",
    "client-database": "what statements on clients take while 1,000 are looked up a second",
    "telemetry-rows": "points per second into MySQL, by one statement and otherwise",
    "telemetry-sink": "points from Kafka into MySQL, beside Kafka Connect with a JDBC sink",
    "proxysql": "what ProxySQL adds to a statement, and 200 clients on few connections",
    "grpc-stack": "what a call by gRPC takes with all around it, beside bare servers",
    "http-stack": "what an endpoint for many small requests should stand on",
}


def main(arguments: list[str]) -> int:
    """Exit code 0, 1 when a run lost or refused something, 2 when there is no such benchmark."""
    name = arguments[0] if arguments else ""
    if name not in BENCHES:
        if name:
            print(f"there is no benchmark {name!r}; there are:")
        for known, what in BENCHES.items():
            print(f"  make bench NAME={known:<16} {what}")
        return 2 if name else 0
    run: Callable[[], int] = import_module(f"tests.bench.{name.replace('-', '_')}").run
    try:
        return run()
    except NoClientError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
