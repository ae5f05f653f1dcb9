"""A stand-in served to a real gRPC client in this process, without the CLI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto import provider_pb2_grpc

from bootstrap.standins import values
from bootstrap.standins.provider import Provider

Properties = dict[str, Any]


class Client:
    """Speaks to one provider as the engine does; properties are plain values."""

    def __init__(self, stub: Any, prefix: str) -> None:
        self.stub = stub
        self._prefix = prefix

    def urn(self, kind: str) -> str:
        return f"urn:pulumi:dev::project::{self.token(kind)}::name"

    def token(self, kind: str) -> str:
        if self._prefix == "docker-build":
            return f"docker-build:index:{kind}"
        return f"{self._prefix}:index/{kind[0].lower()}{kind[1:]}:{kind}"

    def check(self, kind: str, news: Properties, secrets: tuple[str, ...] = ()) -> Any:
        request = pb.CheckRequest(urn=self.urn(kind), news=values.wire(news, secrets))
        return self.stub.Check(request)

    def failures(self, kind: str, news: Properties) -> dict[str, str]:
        return {f.property: f.reason for f in self.check(kind, news).failures}

    def create(
        self,
        kind: str,
        news: Properties,
        *,
        preview: bool = False,
        secrets: tuple[str, ...] = (),
    ) -> Any:
        """Check, then Create with the checked inputs."""
        checked = self.check(kind, news, secrets)
        assert not checked.failures, checked.failures
        return self.stub.Create(
            pb.CreateRequest(urn=self.urn(kind), properties=checked.inputs, preview=preview)
        )

    def made(self, kind: str, news: Properties) -> Properties:
        """The outputs of a new resource, secrets taken off."""
        return values.plain(self.create(kind, news).properties)

    def diff(self, kind: str, state: Properties, old: Properties, news: Properties) -> Any:
        """Diff of checked inputs, as the engine sends them."""
        return self.stub.Diff(
            pb.DiffRequest(
                urn=self.urn(kind),
                olds=values.wire(state),
                old_inputs=self.check(kind, old).inputs,
                news=self.check(kind, news).inputs,
            )
        )


Serve = Callable[[Provider], Client]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(provider)`: a client of it; the server ends with the test."""
    servers: list[grpc.Server] = []
    channels: list[grpc.Channel] = []

    def start(provider: Provider) -> Client:
        server = grpc.server(ThreadPoolExecutor(4))
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        channels.append(grpc.insecure_channel(f"127.0.0.1:{port}"))
        return Client(provider_pb2_grpc.ResourceProviderStub(channels[-1]), provider.name)

    yield start
    for channel in channels:
        channel.close()
    for server in servers:
        server.stop(None).wait()
