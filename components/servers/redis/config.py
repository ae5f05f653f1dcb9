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
OPERATOR_PATH: Final = paths.secret("operator")
DATA_PATH: Final = "/data"
"""The path the official image declares as a volume."""
PORT: Final = 6379
HEALTH_USER: Final = "health"
OPERATOR: Final = "operator"
EXPORTER: Final = "exporter"
_HANDSHAKE: Final = (
    "hello",
    "ping",
    "client|setinfo",
    "client|setname",
    "client|getname",
    "client|id",
)
"""What client libraries send on every connection, whatever the user may do."""
_OPERATING: Final = ("acl|load", "acl|users", "config|set")
"""Reading the users again, seeing which ones were read, and reading certificates again."""
_EXPORTING: Final = ("info",)
"""How the server fares. No configuration, no keys, no other client's commands."""


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


def user_line(
    name: str, passwords: Sequence[str], keys: Sequence[str], commands: Sequence[str]
) -> str:
    """One user of the ACL file. The file holds only the SHA-256 of each password it may use."""
    # Last words: a category like @write would bring FLUSHALL, @connection CLIENT KILL.
    return _line(name, passwords, keys, commands, ("-@dangerous", "-@admin"))


def operator_line(passwords: Sequence[str]) -> str:
    """Who has a changed ACL file and changed certificates read. It cannot say what they are: both
    are the files that the server has mounted, so it cannot give itself or others any right."""
    return _line(OPERATOR, passwords, (), _OPERATING, ())


def exporter_line(passwords: Sequence[str]) -> str:
    """Who tells Prometheus how the server fares."""
    return _line(EXPORTER, passwords, (), _EXPORTING, ())


def _line(
    name: str,
    passwords: Sequence[str],
    keys: Sequence[str],
    commands: Sequence[str],
    last: Sequence[str],
) -> str:
    allowed = dict.fromkeys((*_HANDSHAKE, *commands))
    return " ".join(
        (
            f"user {name} reset on",
            *(f"#{hashlib.sha256(password.encode()).hexdigest()}" for password in passwords),
            *(f"~{key}" for key in keys),
            "-@all",
            *(f"+{command}" for command in allowed),
            *last,
        )
    )


def acl_file(lines: Sequence[str]) -> str:
    """The users given, and nobody else: the built-in `default` user is off.

    It may do everything all the same. Nobody can be it, but Redis reads its append-only file back
    in its name, and asks the rights of what was done together (MULTI, scripts): without them, all
    of that would silently be left out, and lost.

    Neither can anybody be the last one. Its name is that of this text, by which is seen whether
    the server has read it: Redis tells rules in words of its own.
    """
    everyone = (
        "user default reset off ~* &* +@all",
        *lines,
        f"user {acl_version(lines)} reset off",
    )
    return "\n".join(everyone) + "\n"


def acl_version(lines: Sequence[str]) -> str:
    """A name for the users given; not secret, as no password is found from it."""
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return f"acl-{digest[:16]}"


def start_script() -> str:
    return filled(
        Path(__file__).with_name("start.sh"),
        {
            "OPERATOR": OPERATOR_PATH,
            "TLS": paths.TLS,
            "CONFIG": CONFIG_PATH,
            "PORT": PORT,
            "USER": OPERATOR,
        },
    )


def probe_script() -> str:
    """Asks PING as the health user over TLS; passwords are read from their files on each call."""
    return filled(
        Path(__file__).with_name("ready.sh"),
        {"HEALTH": HEALTH_PATH, "TLS": paths.TLS, "PORT": PORT, "USER": HEALTH_USER},
    )
