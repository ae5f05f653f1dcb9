"""What a provisioning Job is told: frozen models of its JSON spec file."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, FilePath, ValidationError

# Unquoted PostgreSQL identifiers; quoting stays in place all the same.
_NAME = r"^[a-z][a-z0-9_]{0,62}$"


class SpecError(Exception):
    """The spec file is missing or wrong; the message names the file and every field at fault."""


class ProvisionError(Exception):
    """The server is not as the spec wants it; the message says why and what to do."""


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSpec(_Spec):
    """One database and the one role that owns it and may connect to it."""

    name: str = Field(pattern=_NAME)
    role: str = Field(pattern=_NAME)
    password_file: FilePath


class PostgresSpec(_Spec):
    """A PostgreSQL server, its administrator, and the databases it must have."""

    host: str
    port: int = Field(default=5432, ge=1, le=65535)
    admin_user: str = "postgres"
    admin_password_file: FilePath
    ca_file: FilePath
    databases: list[DatabaseSpec] = Field(min_length=1)


class TopicSpec(_Spec):
    """One Kafka topic; `config` holds topic settings by their Kafka names."""

    name: str = Field(pattern=r"^[a-z0-9._-]{1,200}$")
    partitions: int = Field(ge=1)
    replication_factor: int = Field(ge=1)
    config: dict[str, str] = {}


class UserSpec(_Spec):
    """One SCRAM user and all it may do: topics to produce to and consume, consumer groups."""

    name: str = Field(pattern=r"^[a-z0-9._-]{1,100}$")
    password_file: FilePath
    produce: list[str] = []
    consume: list[str] = []
    groups: list[str] = []


class KafkaSpec(_Spec):
    """A Kafka cluster, reached as an administrator with a client certificate."""

    bootstrap_servers: str = Field(min_length=1)
    ca_file: FilePath
    certificate_file: FilePath
    key_file: FilePath
    topics: list[TopicSpec] = []
    users: list[UserSpec] = []


S = TypeVar("S", bound=_Spec)


def read(model: type[S], path: Path) -> S:
    """Read a spec file. Raises SpecError."""
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}; mount the spec there") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'file'}: {item['msg']}"
            for item in error.errors()
        )
        raise SpecError(f"{path}: {faults}; correct the spec") from None
