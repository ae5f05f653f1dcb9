"""A Redis client over verified TLS with an ACL user, its time-outs short and its retries off."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, TypeVar

import hiredis
from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import DataError, RedisError

from services.shared.runtime import context
from services.shared.runtime.databases import tls_context
from services.shared.runtime.settings import RedisSettings, read_secret
from services.shared.tracing import spans

T = TypeVar("T")
__all__ = ["RedisError", "client"]


class _FileCredentials(CredentialProvider):
    """Reads the password at every connect, so that a rotated file needs no restart."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings

    def get_credentials(self) -> tuple[str, str]:
        return self._settings.username, read_secret(self._settings.password_file)

    async def get_credentials_async(self) -> tuple[str, str]:
        return self.get_credentials()


class _Connection(SSLConnection):
    def _connection_arguments(self) -> Mapping[str, Any]:
        # At every connect, so that a rotated CA file needs no restart. redis-py's own would be kept
        # for as long as the pool lives, and trust what the system trusts beside it.
        self.ssl_context.context = tls_context(str(self.ca_certs))
        return super()._connection_arguments()

    def pack_command(self, *args: Any) -> list[bytes]:
        # redis-py's own, which is Python, takes longer than a script with its thousands of
        # arguments takes the server.
        name, *rest = args
        words = name.split() if isinstance(name, str) else (name,)  # "XINFO GROUPS"
        command: Any = (*words, *rest)
        try:
            return [hiredis.pack_command(command)]
        except TypeError as error:
            raise DataError(f"{words[0]!r}: {error}") from error

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        # redis-py starts a task for each command, to limit how long writing may take. What goes
        # out at once needs none. What TLS has taken counts as out: a server that does not read is
        # noticed by the time-out of the answer.
        writer = self._writer
        if self.is_connected and writer is not None and not isinstance(command, (bytes, str)):
            writer.writelines(command)
            if not writer.transport.get_write_buffer_size():
                return
            command = ()
        await super().send_packed_command(command, check_health)


class _Traced(Redis):
    """Its commands are steps in the trace of whoever gives them; a script is one."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        answer = super().execute_command(*args, **options)
        return answer if context.span() is None else self._step(str(args[0]), answer)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        made = super().pipeline(transaction, shard_hint)
        if context.span() is None:
            return made
        plain = made.execute

        async def execute(raise_on_error: bool = True) -> Any:
            return await self._step("PIPELINE", plain(raise_on_error), len(made.command_stack))

        made.execute = execute
        return made

    async def _step(self, name: str, answer: Awaitable[T], size: int = 1) -> T:
        options = self.connection_pool.connection_kwargs
        about: dict[str, str | int] = {
            "db.system.name": "redis",
            "db.operation.name": name,
            "server.address": options["host"],
            "server.port": options["port"],
        }
        if size > 1:
            about["db.operation.batch.size"] = size
        # What a command is given is not told: documents are among it.
        with spans.step(name, "CLIENT", about):
            return await answer


def client(settings: RedisSettings, *, timeout: float, max_connections: int = 16) -> Redis:
    """A client that connects when first used.

    `timeout` (s) bounds connecting, each command, and waiting for one of `max_connections`.
    Retries are off: redis-py would repeat a write whose answer got lost.
    """
    pool = BlockingConnectionPool(
        connection_class=_Connection,
        host=settings.host,
        port=settings.port,
        credential_provider=_FileCredentials(settings),
        ssl_ca_certs=str(settings.ca_file),
        socket_connect_timeout=timeout,
        socket_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        max_connections=max_connections,
        timeout=timeout,
        protocol=2,
    )
    return _Traced.from_pool(pool)
