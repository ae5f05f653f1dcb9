"""Whose certificate a server presents, seen as its clients see it: over TLS, with no account."""

import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from bootstrap.kube import Kube, KubeError
from infra.model.objects import DATA
from operations.forwarding import forwarded

_SECONDS: Final = 10.0
_COMPONENT: Final = "app.kubernetes.io/component"


def others(kube: Kube, ca: str) -> str:
    """Which servers' pods present nothing that leads to this CA; empty: all of them do."""
    return ", ".join(pod["metadata"]["name"] for pod in _servers(kube) if not _leads(kube, pod, ca))


def any_of(kube: Kube, ca: str) -> str:
    """Which servers' pods present what leads to this CA; empty: none does."""
    return ", ".join(pod["metadata"]["name"] for pod in _servers(kube) if _leads(kube, pod, ca))


def _servers(kube: Kube) -> list[Any]:
    return [
        pod
        for pod in kube.items("pods", DATA)
        if pod["metadata"].get("labels", {}).get(_COMPONENT) in _HELLO
        and pod["status"].get("phase") not in ("Succeeded", "Failed")
    ]


def _leads(kube: Kube, pod: Any, ca: str) -> bool:
    """Raises KubeError when it cannot be seen."""
    name, engine = pod["metadata"]["name"], pod["metadata"]["labels"][_COMPONENT]
    port = pod["spec"]["containers"][0]["ports"][0]["containerPort"]
    try:
        with forwarded(kube, DATA, f"pod/{name}", port) as here:
            return leads(engine, here, ca)
    except OSError as error:
        raise KubeError(f"{name} could not be asked for its certificate: {error}") from error


def leads(engine: str, port: int, ca: str) -> bool:
    """Whether what a server presents at a port of this machine leads to this CA.

    It is not asked for its name: who looks from here came by another.

    Raises OSError when it presents nothing.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=ca)
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as plain:
        _HELLO[engine](plain)
        try:
            with context.wrap_socket(plain):
                return True
        except ssl.SSLCertVerificationError:
            return False


def _at_once(plain: socket.socket) -> None:
    """TLS is all that it speaks."""


def _postgres(plain: socket.socket) -> None:
    plain.sendall(struct.pack("!ii", 8, 80877103))  # SSLRequest
    if plain.recv(1) != b"S":
        raise OSError("it speaks no TLS")


def _mysql(plain: socket.socket) -> None:
    # Its greeting: three bytes of length and a number, then that many bytes.
    head = _exactly(plain, 4)
    _exactly(plain, int.from_bytes(head[:3], "little"))
    # CLIENT_PROTOCOL_41, CLIENT_SSL and CLIENT_SECURE_CONNECTION; a packet's size; utf8mb4.
    asked = struct.pack("<IIB23x", 0x00008A00, 1 << 24, 45)
    plain.sendall(len(asked).to_bytes(3, "little") + b"\x01" + asked)


def _exactly(plain: socket.socket, size: int) -> bytes:
    got = b""
    deadline = time.monotonic() + _SECONDS
    while len(got) < size:
        more = plain.recv(size - len(got))
        if not more or time.monotonic() > deadline:
            raise OSError("it ended its greeting early")
        got += more
    return got


_HELLO: Final[Mapping[str, Callable[[socket.socket], None]]] = {
    "kafka": _at_once,
    "redis": _at_once,
    "mysql": _mysql,
    "proxysql": _mysql,
    "postgres": _postgres,
}
"""Engine to what comes before TLS."""
