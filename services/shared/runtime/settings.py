"""Settings read from the environment, one frozen model per thing a service talks to.

Passwords never enter a model: a model holds the path of the mounted file, and the file is read
when a connection is made, so that a rotated password is picked up without a restart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, FilePath, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

AccessLog = Literal["notable", "all"]


class SettingsError(Exception):
    """The environment does not describe a service; the message names every variable at fault."""


class ServiceSettings(BaseSettings):
    """The process itself. Times are in seconds."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    service_name: str = Field(min_length=1)
    """What logs, metrics and connections call the process."""
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR|CRITICAL)$")
    """The lowest level that is logged."""
    access_log: AccessLog = "notable"
    """Which requests get a log line: `notable`, those that were refused, failed or took a second or
    longer and a few of those whose trace is recorded, or `all` but probes. All are counted in the
    metrics."""
    http_host: str = "0.0.0.0"  # noqa: S104 - a pod listens on its own address only
    """Address to listen on."""
    http_port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on; 0: any that is free."""
    shutdown_grace_seconds: float = Field(default=20, ge=0, le=600)
    """How long a request or batch in flight may take to finish after SIGTERM."""
    drain_seconds: float = Field(default=1, ge=0, le=60)
    """How long the listener stays open after SIGTERM while /ready already fails."""


class DatabaseSettings(BaseSettings):
    """One database, always over TLS with the server's name verified."""

    model_config = SettingsConfigDict(
        env_prefix="DATABASE_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    host: str = Field(min_length=1)
    """Name of the server, which its certificate must carry."""
    port: int = Field(default=5432, ge=1, le=65535)
    """Port of the server."""
    name: str = Field(min_length=1)
    """Database."""
    user: str = Field(min_length=1)
    """Role to log in as."""
    user_file: FilePath | None = None
    """File that names it instead, and changes together with the password; read for every
    connection."""
    password_file: FilePath
    """File that holds the password; read for every connection."""
    ca_file: FilePath
    """File with the CA certificates that the server's must lead to."""
    pool_size: int = Field(default=10, ge=1, le=200)
    """Most connections of this process."""


class KafkaSettings(BaseSettings):
    """A Kafka cluster over SASL_SSL with SCRAM."""

    model_config = SettingsConfigDict(
        env_prefix="KAFKA_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    bootstrap_servers: str = Field(min_length=1)
    """`host:port` of the brokers to ask first, separated by commas."""
    username: str = Field(min_length=1)
    """SCRAM user to log in as."""
    password_file: FilePath
    """File that holds the password; read when a client is made."""
    mechanism_file: FilePath
    """File that holds what the password is for: `SCRAM-SHA-512` or `SCRAM-SHA-256`."""
    ca_file: FilePath
    """File with the CA certificates that the server's must lead to."""


class RedisSettings(BaseSettings):
    """A Redis server over TLS with an ACL user."""

    model_config = SettingsConfigDict(
        env_prefix="REDIS_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    host: str = Field(min_length=1)
    """Name of the server, which its certificate must carry."""
    port: int = Field(default=6379, ge=1, le=65535)
    """Port of the server."""
    username: str = Field(min_length=1)
    """ACL user to log in as."""
    password_file: FilePath
    """File that holds the password; read for every connection."""
    ca_file: FilePath
    """File with the CA certificates that the server's must lead to."""


class BreakerSettings(BaseSettings):
    """When a service leaves alone what is away, and for how long."""

    model_config = SettingsConfigDict(
        env_prefix="CIRCUIT_BREAKER_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    failures: int = Field(default=3, ge=1, le=1000)
    """Calls that failed in a row, after which none is made."""
    open_seconds: float = Field(default=1.0, gt=0, le=600)
    """Until one call looks whether it is back; up to a quarter longer, so that pods differ."""


S = TypeVar("S", bound=BaseSettings)


def load(model: type[S]) -> S:
    """Read `model` from the environment.

    Raises SettingsError with one line per variable: its name, what is wrong, what to do.
    """
    try:
        return model()
    except ValidationError as error:
        prefix = str(model.model_config.get("env_prefix", ""))
        lines: list[str] = []
        for item in error.errors():
            variable = (prefix + "_".join(str(part) for part in item["loc"])).upper()
            if item["type"] == "missing":
                lines.append(f"{variable}: not set; give it a value in the environment")
            else:
                # The rejected value is left out on purpose: it may be a misplaced secret.
                lines.append(f"{variable}: {item['msg']}; correct it in the environment")
        raise SettingsError("\n".join(lines)) from None


def read_login(user: str, user_file: Path | None, password_file: Path) -> tuple[str, str]:
    """Whom to log in as, and the password, both of one moment. Raises SettingsError."""
    if user_file is None:
        return user, read_secret(password_file)
    while True:
        named, password = read_secret(user_file), read_secret(password_file)
        # A mounted Secret changes as a whole: nothing did while the name is the same.
        if read_secret(user_file) == named:
            return named, password


def read_before(password_file: Path) -> str | None:
    """The password before this one, for a proxy that may not have heard of this one yet. None: the
    Secret has one alone. Raises SettingsError."""
    before = password_file.with_name("before")
    return read_secret(before) if before.exists() else None


def read_secret(path: Path) -> str:
    """What a mounted file holds, without the newline an editor may have left.

    Raises SettingsError when the file is missing or empty.
    """
    try:
        value = path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise SettingsError(
            f"{path}: {error.strerror}; mount the secret there or correct the *_PASSWORD_FILE"
        ) from error
    if not value:
        raise SettingsError(f"{path}: the file is empty; it must hold what it is named for")
    return value
