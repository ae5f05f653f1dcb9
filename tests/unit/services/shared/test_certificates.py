"""The end of a server's certificate is known once a client has shaken hands with it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
import uvloop
from cryptography import x509
from prometheus_client import CollectorRegistry, generate_latest

from services.shared.postgres.database import tls_context
from services.shared.runtime import certificates
from services.shared.runtime.metrics import new_registry

METRIC = "tls_certificate_expiry_timestamp_seconds"


def shown(registry: CollectorRegistry) -> dict[str, float]:
    lines = generate_latest(registry).decode().splitlines()
    rows = [line.removeprefix(METRIC).split() for line in lines if line.startswith(METRIC)]
    return {labels.split('"')[1]: float(value) for labels, value in rows}


def end_of(pem: bytes) -> float:
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_ends_of_the_servers_certificate_and_of_the_bundle_are_metrics(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    monkeypatch.setattr(certificates, "_ends", {})
    authority = trustme.CA()
    ca_file = tmp_path / "ca.crt"
    authority.cert_pem.write_to_path(ca_file)
    issued = authority.issue_cert("localhost")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(serving)

    async def connect() -> None:
        server = await asyncio.start_server(lambda _, w: w.close(), "localhost", 0, ssl=serving)
        port = server.sockets[0].getsockname()[1]
        client = tls_context(str(ca_file))
        _, writer = await asyncio.open_connection("localhost", port, ssl=client)
        writer.close()
        server.close()

    registry = new_registry()
    assert shown(registry) == {}
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(connect())
    assert shown(registry) == {
        "localhost": end_of(issued.cert_chain_pems[0].bytes()),
        "ca": end_of(authority.cert_pem.bytes()),
    }
