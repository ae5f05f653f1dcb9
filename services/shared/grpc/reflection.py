"""What there is to call, for tools: grpc.reflection, v1 and v1alpha.

The library has v1alpha alone. v1 is the same under another name: messages, numbers and all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Any, Final

from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import aio

from services.shared.grpc.calls import Call
from services.shared.grpc.methods import Method, Openly, Service

_NAMES: Final = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
_OPEN: Final = Openly("the contracts are no secret, as /openapi.json is none")


def reflection(services: Collection[str]) -> list[Service]:
    """Services that tell of those named, and of themselves."""
    library: Any = aio.ReflectionServicer((*services, *_NAMES))

    async def told(requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
        async for response in library.ServerReflectionInfo(requests, call):
            yield response

    descriptor = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
    method = Method("ServerReflectionInfo", told, _OPEN)
    return [Service(descriptor, [method], name=name) for name in _NAMES]
