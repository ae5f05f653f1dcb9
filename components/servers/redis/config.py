"""The texts a Redis server runs from: redis.conf, the ACL file and the probe script."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from components.kit import paths
from components.kit.scripts import filled

CONFIG_PATH: Final = paths.config("redis")
ACL_PATH: Final = f"{paths.ROOT}/acl"
HEALTH_PATH: Final = paths.secret("health")
DATA_PATH: Final = "/data"
"""The path the official image declares as a volume."""
PORT: Final = 6379
HEALTH_USER: Final = "health"
_HANDSHAKE: Final = (
    "hello",
    "ping",
    "client|setinfo",
    "client|setname",
    "client|getname",
    "client|id",
)
"""What client libraries send on every connection, whatever the user may do."""


def redis_conf(*, max_memory_bytes: int, eviction: str, append_fsync: str | None) -> str:
    """The whole configuration. `append_fsync` None: nothing is written to disk."""
    lines = [
        "bind * -::*",
        "port 0",
        f"tls-port {PORT}",
        f"tls-cert-file {paths.TLS}/tls.crt",
        f"tls-key-file {paths.TLS}/tls.key",
        f"tls-ca-cert-file {paths.TLS}/ca.crt",
        # Clients prove who they are with a password.
        "tls-auth-clients no",
        'tls-protocols "TLSv1.2 TLSv1.3"',
        f"aclfile {ACL_PATH}/users.acl",
        f"dir {DATA_PATH}",
        'save ""',
        f"maxmemory {max_memory_bytes}",
        f"maxmemory-policy {eviction}",
        # Slow or many clients' buffers must not push the keys out.
        "maxmemory-clients 10%",
        "tcp-keepalive 60",
        "lazyfree-lazy-eviction yes",
        "lazyfree-lazy-expire yes",
        'logfile ""',
        "loglevel notice",
    ]
    if append_fsync is None:
        lines.append("appendonly no")
    else:
        lines += ["appendonly yes", f"appendfsync {append_fsync}", "aof-use-rdb-preamble yes"]
    return "\n".join(lines) + "\n"


def user_line(name: str, password: str, keys: Sequence[str], commands: Sequence[str]) -> str:
    """One user of the ACL file. The file holds only the SHA-256 of the password."""
    password_hash = hashlib.sha256(password.encode()).hexdigest()
    allowed = dict.fromkeys((*_HANDSHAKE, *commands))
    return " ".join(
        (
            f"user {name} reset on #{password_hash}",
            *(f"~{key}" for key in keys),
            "-@all",
            *(f"+{command}" for command in allowed),
            # Last word: a category like @write would bring FLUSHALL, @connection CLIENT KILL.
            "-@dangerous",
            "-@admin",
        )
    )


def acl_file(lines: Sequence[str]) -> str:
    """The users given, and nobody else: the built-in `default` user is off.

    It may do everything all the same. Nobody can be it, but Redis reads its append-only file back
    in its name, and asks the rights of what was done together (MULTI, scripts): without them, all
    of that would silently be left out, and lost.
    """
    return "\n".join(("user default reset off ~* &* +@all", *lines)) + "\n"


def probe_script() -> str:
    """Asks PING as the health user over TLS; the password is read from its file on each call."""
    return filled(
        Path(__file__).with_name("ready.sh"),
        {"HEALTH": HEALTH_PATH, "TLS": paths.TLS, "PORT": PORT, "USER": HEALTH_USER},
    )
