"""Calls of methods that there are not."""

from __future__ import annotations

from typing import Any, Final

import grpc

from services.shared.grpc import calls, verdicts
from services.shared.grpc.books import MethodBooks
from services.shared.grpc.methods import UNKNOWN
from services.shared.grpc.metrics import GrpcMetrics

_LONGEST: Final = 200


class Unknown:
    """Those of one server: UNIMPLEMENTED, counted as one method, however many are tried."""

    def __init__(self, metrics: GrpcMetrics) -> None:
        self._books = MethodBooks(metrics, UNKNOWN, UNKNOWN)

    def handler(self, path: str) -> grpc.RpcMethodHandler:
        """For a call of `path`. It streams, so that no message is waited for."""

        async def refuse(_requests: Any, rpc: Any) -> None:
            started = self._books.begin()
            call = calls.begin(calls.read(rpc), 0.0, quiet=True)
            error = verdicts.no_such_method()
            self._books.note(started, error.code, call.correlation_id, path[:_LONGEST])
            await verdicts.end(rpc, error, call)

        return grpc.stream_stream_rpc_method_handler(refuse)
