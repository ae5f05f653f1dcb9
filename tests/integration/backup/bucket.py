"""A bucket of a real S3 server, and a way to it that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from bootstrap.checkout import find_checkout
from bootstrap.tools import S3, tool_path
from tests.integration.authority import Authority, eventually
from tests.integration.backup.pod import SECRETS, UID, Pod
from tests.integration.containers import Container, Containers, File

_PORT, _FOLDER = 7070, "/s3"
NAME = "backups"


@dataclass
class Bucket:
    """VersityGW over TLS; the bucket is a folder behind it."""

    container: Container
    keys: dict[str, bytes]

    @property
    def port(self) -> int:
        return self.container.ports[_PORT]

    def stored(self) -> list[str]:
        """Every object's key, as it lies behind the server."""
        _, said = self.container.ask(
            "find", f"{_FOLDER}/buckets/{NAME}", "-type", "f", "-printf", "%P\\n"
        )
        return sorted(said.split())

    def storage(self, pod: Pod, port: int | None = None, **changes: Any) -> dict[str, Any]:
        """The part of a pod's spec; the pod gets the keys."""
        pod.container.put(
            {f"{SECRETS}/{name}": File(key, 0o400, UID) for name, key in self.keys.items()}
        )
        return {
            "kind": "s3",
            "endpoint": f"https://localhost:{port or self.port}",
            "bucket": NAME,
            "prefix": f"stacks/{pod.engine}",
            "access_key_file": f"{SECRETS}/access-key",
            "secret_key_file": f"{SECRETS}/secret-key",
            "ca_file": f"{SECRETS}/ca",
        } | changes


async def start_bucket(containers: Containers, authority: Authority) -> Bucket:
    binary = tool_path(find_checkout(), S3)
    assert binary.exists(), "the S3 server is not built yet: run make images"
    chain, key = authority.issue()
    keys = {name: secrets.token_hex(16).encode() for name in ("access-key", "secret-key")}
    files = {"tls.crt": chain, "tls.key": key, **keys}
    container = containers.run(
        "s3",
        containers.image("python-runtime"),
        [f"{_FOLDER}/s3", f":{_PORT}", _FOLDER],
        uid=UID,
        ports=[_PORT],
        files={
            f"{_FOLDER}/s3": File(binary.read_bytes(), 0o755),
            **{f"{_FOLDER}/{name}": File(text, 0o400, UID) for name, text in files.items()},
            f"{_FOLDER}/buckets": File(None, 0o700, UID),
            f"{_FOLDER}/buckets/{NAME}": File(None, 0o700, UID),
        },
    )
    bucket = Bucket(container, keys)

    async def answers() -> bool:
        assert container.running(), container.logs()
        try:
            _, writer = await asyncio.open_connection("localhost", bucket.port)
        except OSError:
            return False
        writer.close()
        return True

    await eventually(answers)
    return bucket


@contextlib.asynccontextmanager
async def cut_after(sent: int, port: int) -> AsyncIterator[int]:
    """A port that leads to `port` until a connection has sent so many bytes, and then ends it."""

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            back, forth = await asyncio.open_connection("localhost", port)
            answers = asyncio.create_task(_copy(back, writer, None))
            await _copy(reader, forth, sent)
            forth.transport.abort()
            answers.cancel()
        writer.transport.abort()

    server = await asyncio.start_server(lead, "localhost")
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int | None
) -> None:
    passed = 0
    with contextlib.suppress(OSError):
        while (most is None or passed < most) and (piece := await reader.read(16384)):
            passed += len(piece)
            writer.write(piece)
            await writer.drain()
