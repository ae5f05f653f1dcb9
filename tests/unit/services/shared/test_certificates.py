"""The end of a server's certificate is known once a client has shaken hands with it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
import uvloop
from aiokafka.errors import KafkaConnectionError
from cryptography import x509
from prometheus_client import CollectorRegistry, generate_latest

from services.shared.kafka.asynchronous import consumer
from services.shared.kafka.group import GroupSettings
from services.shared.postgres.database import tls_context
from services.shared.runtime import certificates
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import KafkaSettings
from tests.harness.short_lived_ca import short_lived_ca

METRIC = "tls_certificate_expiry_timestamp_seconds"


def shown(registry: CollectorRegistry) -> dict[str, float]:
    lines = generate_latest(registry).decode().splitlines()
    rows = [line.removeprefix(METRIC).split() for line in lines if line.startswith(METRIC)]
    return {labels.split('"')[1]: float(value) for labels, value in rows}


def end_of(pem: bytes) -> float:
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()


def test_a_consumer_within_the_event_loop_sees_the_brokers_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that librdkafka's clients do not show."""
    monkeypatch.setattr(certificates, "_ends", {})
    monkeypatch.setattr(certificates, "_bundles", set[str]())
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    (tmp_path / "password").write_text("opensesame")
    (tmp_path / "mechanism").write_text("SCRAM-SHA-512")
    issued = authority.issue_cert("localhost")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(serving)

    async def connect() -> None:
        # No broker: it hangs up after the handshake.
        server = await asyncio.start_server(lambda _, w: w.close(), "localhost", 0, ssl=serving)
        settings = KafkaSettings(
            bootstrap_servers=f"localhost:{server.sockets[0].getsockname()[1]}",
            username="some",
            mechanism_file=tmp_path / "mechanism",
            password_file=tmp_path / "password",
            ca_file=tmp_path / "ca.crt",
        )
        client = consumer(
            settings,
            GroupSettings(group_id="some", topics=("some",), dead_letter_topic="dead"),
            "some",
        )
        with pytest.raises(KafkaConnectionError):
            await client.start()
        await client.stop()
        server.close()

    asyncio.run(connect())
    assert shown(new_registry())["localhost"] == end_of(issued.cert_chain_pems[0].bytes())


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_ends_of_the_servers_certificate_and_of_the_bundle_are_metrics(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    monkeypatch.setattr(certificates, "_ends", {})
    monkeypatch.setattr(certificates, "_bundles", set[str]())
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


def test_the_bundle_is_what_its_file_has_now_and_was_while_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "_ends", {})
    monkeypatch.setattr(certificates, "_bundles", set[str]())
    ca_file, lasts = tmp_path / "ca.crt", trustme.CA()
    lasts.cert_pem.write_to_path(ca_file)
    tls_context(str(ca_file))
    registry = new_registry()
    # Another one is trusted as well, and ends sooner; nobody connects anew.
    ends = short_lived_ca(timedelta(days=5)).encode()
    ca_file.write_bytes(lasts.cert_pem.bytes() + ends)
    assert shown(registry)["ca"] == end_of(ends)
    ca_file.unlink()
    assert shown(registry)["ca"] == end_of(ends)
    ca_file.write_text("no certificate")
    assert shown(registry)["ca"] == end_of(ends)
    lasts.cert_pem.write_to_path(ca_file)
    assert shown(registry)["ca"] == end_of(lasts.cert_pem.bytes())
