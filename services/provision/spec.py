"""What a provisioning Job is told: frozen models of its JSON spec file."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FilePath, model_validator

# Unquoted identifiers of PostgreSQL and MySQL; quoting stays in place all the same.
_NAME = r"^[a-z][a-z0-9_]{0,62}$"

LOGIN_SECONDS: Final = 30
"""For a login that shows whether an account works. Nobody waits for it as for a service's; and what
a busy server has not answered yet says nothing about the account."""


class ProvisionError(Exception):
    """The server is not as the spec wants it; the message says why and what to do."""


def second(role: str) -> str:
    """The role that logs in in turns with `role`."""
    return f"{role}_b"


def _check_login(login: str, role: str) -> None:
    if login not in ("", role, second(role)):
        raise ValueError(f"login is {login}; {role} and {second(role)} log in in turns")


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PreviousSpec(_Spec):
    """The password before the one in use."""

    password_file: FilePath
    accepted: bool
    """If not, it is dropped, and seen to be refused."""


class DatabaseSpec(_Spec):
    """One database and the one role that owns it and may connect to it."""

    name: str = Field(pattern=_NAME)
    role: str = Field(pattern=_NAME)
    login: str = ""
    """Who logs in: the role itself, or its second login; empty: itself."""
    password_file: FilePath
    previous: PreviousSpec | None = None
    """Of the other one of the two."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        _check_login(self.login, self.role)
        return self


class _WholeServerSpec(_Spec):
    """An account of a PostgreSQL server that belongs to no database."""

    user: str = Field(pattern=_NAME)
    login: str = ""
    """Who logs in: the user itself, or its second login; empty: itself."""
    password_file: FilePath
    previous: PreviousSpec | None = None
    """Of the other one of the two."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        _check_login(self.login, self.user)
        return self


class BackupAccountSpec(_WholeServerSpec):
    """Who takes backups of a whole server: reads everything and writes nothing."""


class ExporterAccountSpec(_WholeServerSpec):
    """Who tells how a server fares: sees who does what there, and no row of a table."""


class PostgresSpec(_Spec):
    """A PostgreSQL server, its administrator, and the databases it must have."""

    host: str
    port: int = Field(default=5432, ge=1, le=65535)
    admin_user: str = "postgres"
    admin_password_file: FilePath
    admin_previous: PreviousSpec | None = None
    ca_file: FilePath
    databases: list[DatabaseSpec] = Field(min_length=1)
    backup: BackupAccountSpec | None = None
    exporter: ExporterAccountSpec | None = None


class AccountSpec(_Spec):
    """One account of a MySQL server; what it may do follows from what it is for."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
    password_file: FilePath
    previous: PreviousSpec | None = None


class MySQLDatabaseSpec(_Spec):
    """One database, the account that services use, and the one that migrations use."""

    name: str = Field(pattern=_NAME)
    user: AccountSpec
    owner: AccountSpec


class MySQLSpec(_Spec):
    """A MySQL server, its administrator, and what it must have."""

    host: str
    port: int = Field(default=3306, ge=1, le=65535)
    admin_user: str = "root"
    admin_password_file: FilePath
    admin_previous: PreviousSpec | None = None
    ca_file: FilePath
    databases: list[MySQLDatabaseSpec] = Field(min_length=1)
    backup: AccountSpec | None = None
    """Reads all databases of the spec, and the binary log."""
    monitor: AccountSpec | None = None
    """Sees which node takes writes, and how far behind another one is."""
    exporter: AccountSpec | None = None
    """Sees how every node fares, and no row of a table."""


class CredentialSpec(_Spec):
    """One user of a server and its password."""

    name: str = Field(pattern=r"^[a-z0-9._-]{1,100}$")
    password_file: FilePath
    previous: PreviousSpec | None = None


class ProxySQLSpec(_Spec):
    """The replicas of a ProxySQL, what they must go by, and who tries."""

    hosts: list[str] = Field(min_length=1)
    port: int = Field(default=3306, ge=1, le=65535)
    ca_file: FilePath
    routes: str = Field(min_length=1)
    users: list[CredentialSpec] = Field(min_length=1)


class TopicSpec(_Spec):
    """One Kafka topic; `config` holds topic settings by their Kafka names."""

    name: str = Field(pattern=r"^[a-z0-9._-]{1,200}$")
    partitions: int = Field(ge=1)
    replication_factor: int = Field(ge=1)
    config: dict[str, str] = {}


Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256"]


class UserSpec(_Spec):
    """One SCRAM user and all it may do: topics to produce to and consume, consumer groups."""

    name: str = Field(pattern=r"^[a-z0-9._-]{1,100}$")
    password_file: FilePath
    mechanism: Mechanism = "SCRAM-SHA-512"
    """That of the password; the one before has the other one."""
    previous: PreviousSpec | None = None
    produce: list[str] = []
    consume: list[str] = []
    groups: list[str] = []


class KafkaSpec(_Spec):
    """A Kafka cluster, reached as an administrator with a client certificate."""

    bootstrap_servers: str = Field(min_length=1)
    client_servers: str = Field(min_length=1)
    """Where users log in."""
    ca_file: FilePath
    certificate_file: FilePath
    key_file: FilePath
    topics: list[TopicSpec] = []
    users: list[UserSpec] = []


class RedisSpec(_Spec):
    """A Redis server, who may have its users read again, and what it must have read."""

    host: str
    port: int = Field(default=6379, ge=1, le=65535)
    ca_file: FilePath
    operator: CredentialSpec
    acl: str = Field(min_length=1)
    """A user that is in no other file of users."""
    users: list[CredentialSpec] = []
    """Those whose passwords are tried."""
