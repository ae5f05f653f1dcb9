"""The messages of one method, to bytes and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from services.shared.grpc.errors import StatusError
from services.shared.grpc.settings import GrpcSettings


class Messages:
    """Those of one method."""

    def __init__(self, said: MethodDescriptor, settings: GrpcSettings) -> None:
        self._request: Any = GetMessageClass(said.input_type)
        self._name = said.input_type.full_name
        self._most_asked = settings.max_request_bytes
        self._most_told = settings.max_response_bytes

    def read(self, request: bytes) -> Any:
        """The request. Raises StatusError."""
        if len(request) > self._most_asked:
            raise StatusError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "REQUEST_TOO_LARGE",
                f"the message is larger than {self._most_asked} bytes; send less",
                about={"limit": str(self._most_asked)},
            )
        try:
            # Fields that are not known are of a newer client, and left alone.
            return self._request.FromString(request)
        except DecodeError:
            raise StatusError(
                grpc.StatusCode.INVALID_ARGUMENT,
                "MALFORMED",
                f"the message is no {self._name}; correct it",
            ) from None

    async def each(self, requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        """Those of a client that streams."""
        async for request in requests:
            yield self.read(request)

    def written(self, response: Any) -> bytes:
        """The response; one that is too large is a mistake of the handler."""
        text: bytes = response.SerializeToString()
        if len(text) > self._most_told:
            raise RuntimeError(
                f"a {response.DESCRIPTOR.full_name} has more than {self._most_told} bytes"
            )
        return text
