"""Runs inside the cluster, in a pod with the services' image: does a server insist on TLS?

Speaks each protocol by hand over a bare socket, because a client library could refuse plaintext
on its own and prove nothing about the server. Prints one JSON object.

Usage: python - CA_FILE HOST PORT PROTOCOL [HOST PORT PROTOCOL …] < this file
"""

import json
import socket
import ssl
import struct
import sys
import time

SECONDS = 30.0
POSTGRES_TLS_REQUEST = struct.pack("!II", 8, 80877103)


def postgres_startup() -> bytes:
    body = struct.pack("!I", 196608) + b"user\0restdb\0database\0restdb\0\0"
    return struct.pack("!I", len(body) + 4) + body


def kafka_api_versions() -> bytes:
    client = b"probe"
    body = struct.pack("!hhih", 18, 0, 7, len(client)) + client
    return struct.pack("!i", len(body)) + body


def mysql_packet(flags: int, rest: bytes = b"") -> bytes:
    """The client's first: protocol 4.1 and the flags, largest packet, character set, filler."""
    payload = struct.pack("<IIB23s", 0x88200 | flags, 2**24, 45, b"") + rest
    return struct.pack("<I", len(payload))[:3] + b"\1" + payload


MYSQL_TLS_REQUEST = mysql_packet(0x800)

HELLO = {
    "postgres": postgres_startup(),
    "kafka": kafka_api_versions(),
    "redis": b"PING\r\n",
    "mysql": mysql_packet(0, b"root\0\0caching_sha2_password\0"),
}


def connected(host: str, port: int) -> socket.socket:
    """Patiently: a Service leads nowhere while its only pod is late with an answer to its probe."""
    until = time.monotonic() + SECONDS
    while True:
        try:
            return socket.create_connection((host, port), timeout=SECONDS)
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
        time.sleep(0.5)


def answer(host: str, port: int, protocol: str) -> bytes:
    """What a server says to bytes without TLS; empty when it hangs up."""
    with connected(host, port) as connection:
        connection.settimeout(SECONDS)
        if protocol == "mysql":
            connection.recv(400)  # its greeting: here the server speaks first
        connection.sendall(HELLO[protocol])
        try:
            return connection.recv(400)
        except (ConnectionError, TimeoutError):
            return b""


def refuses_plaintext(protocol: str, said: bytes) -> bool:
    if protocol == "postgres":  # a fatal error with SQLSTATE 28000: no entry without encryption
        return said[:1] == b"E" and b"C28000" in said and b"no encryption" in said
    if protocol == "kafka":  # an answer would repeat our correlation id, 7, after its length
        return said[4:8] != struct.pack("!i", 7)
    if protocol == "mysql":
        # Any error: it looks at the password first, of which there is none here. That the right one
        # is of no use without TLS is shown in tests/integration/mysql_server.
        return said[4:5] == b"\xff"
    return not said.startswith((b"+", b"-"))  # any reply of Redis begins so


def handshake(host: str, port: int, protocol: str, ca_file: str) -> str:
    """The TLS version agreed on, with the chain and the host's name verified."""
    context = ssl.create_default_context(cafile=ca_file)
    with connected(host, port) as connection:
        connection.settimeout(SECONDS)
        if protocol == "postgres":
            connection.sendall(POSTGRES_TLS_REQUEST)
            if connection.recv(1) != b"S":
                return "the server does not offer TLS"
        if protocol == "mysql":
            connection.recv(400)
            connection.sendall(MYSQL_TLS_REQUEST)
        with context.wrap_socket(connection, server_hostname=host) as tls:
            return str(tls.version())


def main() -> None:
    ca_file, *rest = sys.argv[1:]
    found = {}
    for host, port, protocol in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        try:
            said = answer(host, int(port), protocol)
            found[f"{protocol} {host}:{port}"] = {
                "refused": refuses_plaintext(protocol, said),
                "said": said[:120].decode("latin-1"),
                "tls": handshake(host, int(port), protocol, ca_file),
            }
        except OSError as error:
            found[f"{protocol} {host}:{port}"] = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
