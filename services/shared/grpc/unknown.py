"""Calls of methods that there are not."""

from __future__ import annotations

from typing import Any

import grpc

from services.shared.grpc import calls, errors
from services.shared.grpc.books import MethodBooks
from services.shared.grpc.calls import CORRELATION_ID
from services.shared.grpc.errors import StatusError
from services.shared.grpc.methods import UNKNOWN
from services.shared.grpc.metrics import GrpcMetrics

_LONGEST = 200


class Unknown:
    """Those of one server: UNIMPLEMENTED, counted as one method, however many are tried."""

    def __init__(self, metrics: GrpcMetrics) -> None:
        self._books = MethodBooks(metrics, UNKNOWN, UNKNOWN)

    def handler(self, path: str) -> grpc.RpcMethodHandler:
        """For a call of `path`. It streams, so that no message is waited for."""

        async def refuse(_requests: Any, rpc: Any) -> None:
            started = self._books.begin()
            call = calls.begin(calls.read(rpc), 0.0, quiet=True)
            error = StatusError(
                grpc.StatusCode.UNIMPLEMENTED,
                "NO_SUCH_METHOD",
                "there is no such method here; reflection tells of those that there are",
            )
            try:
                trailing = errors.trailing(error, call.correlation_id)
                known = (CORRELATION_ID, call.correlation_id)
                await rpc.abort(error.code, error.message, (known, *trailing))
            finally:
                self._books.note(started, error.code, call.correlation_id, path[:_LONGEST])

        return grpc.stream_stream_rpc_method_handler(refuse)
