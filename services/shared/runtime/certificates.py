"""When the certificates that this process relies on end, as a metric.

The platform's certificates are renewed by an update of it, and by nothing else: somebody has to be
told in time. What is seen is what a server presented when it was last connected to, so a renewed
certificate counts once it is in use; of the CA bundle what its file has, as the next connection
takes it from there. Of Kafka, librdkafka shows nothing of its handshakes: brokers'
certificates are seen by those who consume within the event loop (aiokafka).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

CA = "ca"

# Of the process, like its memory: every registry that asks gets the same.
_ends: dict[str, float] = {}
_bundles: set[str] = set()


class CertificateCollector(Collector):
    """`tls_certificate_expiry_timestamp_seconds`, by server name, and `ca` for the CA bundle."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "tls_certificate_expiry_timestamp_seconds",
            "When the certificate ends that the server last presented (ca: the first of the"
            " bundle's file), in seconds since 1970.",
            labels=["certificate"],
        )
        _read_bundles()
        for name, end in sorted(_ends.items()):
            family.add_metric([name], end)
        yield family


def watch_servers(context: ssl.SSLContext) -> None:
    """Note the certificate of every server that a client connects to with this context."""
    context.sslobject_class = _Watched
    context.sslsocket_class = _WatchedSocket


def watch_bundle(ca_file: str) -> None:
    """Note the first end among the CA certificates of this file, now and whenever somebody asks."""
    _bundles.add(ca_file)
    _read_bundles()


def _read_bundles() -> None:
    """What could not be read is as it was: who connects says so."""
    ends: list[float] = []
    for ca_file in _bundles:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with suppress(OSError):
            context.load_verify_locations(ca_file)
        ends += [_end_of(certificate) for certificate in context.get_ca_certs()]
    if ends:
        _ends[CA] = min(ends)


class _Watched(ssl.SSLObject):
    def do_handshake(self) -> None:
        super().do_handshake()  # raises as long as the other side has to say something
        _note(self.server_hostname, self.getpeercert())


class _WatchedSocket(ssl.SSLSocket):
    """The same for clients that block."""

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        _note(self.server_hostname, self.getpeercert())


def note(name: str, end: float) -> None:
    """Note when a certificate ends that this process shows itself, in seconds since 1970."""
    _ends[name] = end


def _note(server: str | None, certificate: Any) -> None:
    if certificate and server:
        note(server, _end_of(certificate))


def _end_of(certificate: Any) -> float:
    return ssl.cert_time_to_seconds(certificate["notAfter"])
