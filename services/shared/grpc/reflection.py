"""What there is to call, for tools: grpc.reflection, v1 and v1alpha.

The library has v1alpha alone. v1 is the same under another name: messages, numbers and all. And it
finds no file by the name of a method, which both promise.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Any, Final

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import aio

from services.shared.grpc.calls import Call
from services.shared.grpc.methods import Method, Openly, Service

_NAMES: Final = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
_OPEN: Final = Openly("the contracts are no secret, as /openapi.json is none")


class _Pool:
    """What this process knows, as the library asks for it."""

    def __init__(self) -> None:
        self._pool: Any = descriptor_pool.Default()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 - theirs
        """Raises KeyError."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file


def reflection(services: Collection[str]) -> list[Service]:
    """Services that tell of those named, and of themselves."""
    library: Any = aio.ReflectionServicer((*services, *_NAMES), _Pool())

    async def told(requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
        async for response in library.ServerReflectionInfo(requests, call):
            yield response

    descriptor = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
    method = Method("ServerReflectionInfo", told, _OPEN)
    return [Service(descriptor, [method], name=name) for name in _NAMES]
