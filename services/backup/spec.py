"""What a backup's Job is told: frozen models of its JSON spec file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.shared.runtime.settings import read_login

# Names of databases and accounts become parts of statements and of files.
_NAME = r"^[a-z][a-z0-9_]{0,39}$"


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Account(_Spec):
    """Whom to log in as. The file need not be there for actions that do not log in as this one."""

    user: str = Field(pattern=_NAME)
    user_file: Path | None = None
    """Names the user instead, and changes together with the password."""
    password_file: Path

    def login(self) -> tuple[str, str]:
        """Whom to log in as now, and the password. Raises SettingsError."""
        return read_login(self.user, self.user_file, self.password_file)


class Server(_Spec):
    """The database's server, always over TLS with the server's name verified."""

    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    ca_file: Path
    """The CA certificates that the server's must lead to."""
    backup: Account
    """Who takes backups and archives."""
    administrator: Account
    """Who restores."""
    application: list[Account] = []
    """Who is kept out while a restored database takes the place of the live one."""


class FolderSpec(_Spec):
    """A folder, as a rule a claim's."""

    kind: Literal["folder"] = "folder"
    path: Path


class ObjectStorageSpec(_Spec):
    """A bucket of S3 or what speaks it. Keys are files, read when needed."""

    kind: Literal["s3"] = "s3"
    endpoint: str | None = Field(default=None, pattern=r"^https?://")
    """None: Amazon's own, by the region."""
    region: str = "us-east-1"
    bucket: str = Field(min_length=3)
    prefix: str = Field(default="", pattern=r"^([A-Za-z0-9._-]+/)*[A-Za-z0-9._-]*$")
    """Folder inside the bucket."""
    access_key_file: Path
    secret_key_file: Path
    ca_file: Path | None = None
    """The CA certificates that the endpoint's must lead to; None: those of the system."""


class EncryptionSpec(_Spec):
    """The age format. Who takes backups knows recipients only, and cannot read what it wrote."""

    recipients: list[str] = Field(min_length=1)
    """Public keys, `age1…`: any one of their identities opens the backup."""
    identity_file: Path | None = None
    """Private keys, `AGE-SECRET-KEY-…`, one a line; there where a backup is read."""


class RetentionSpec(_Spec):
    """A backup goes when it is neither among the newest `count` nor younger than `days`.

    The newest one that was proven stays whatever these say.
    """

    count: int = Field(default=7, ge=1)
    days: float = Field(default=14, ge=0)


class ArchiveSpec(_Spec):
    """The log of changes between backups."""

    interval_seconds: float = Field(default=20, gt=0, le=60)
    """How often what changed is put into the archive: what a lost server may cost."""
    http_port: int = Field(default=8080, ge=0, le=65535)
    """Where /health and /metrics of the archiver answer."""


class BackupSpec(_Spec):
    """One database, its server, and where its backups go."""

    database: str = Field(pattern=_NAME)
    prefix: str = Field(default="", pattern=r"^([a-z][a-z0-9-]{0,40})?$")
    """What names of backups begin with; empty: the database's name."""
    package: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*$")
    """Whose migrations are the database's schema; None: nobody's, revisions are not compared."""
    server: Server
    storage: FolderSpec | ObjectStorageSpec = Field(discriminator="kind")
    folder: str = Field(default="", pattern=r"^[a-z0-9-]*$")
    """Folder of this database inside the storage; empty: its name, with dashes."""
    encryption: EncryptionSpec | None = None
    retention: RetentionSpec = RetentionSpec()
    archive: ArchiveSpec = ArchiveSpec()
    scratch: Path = Path("/tmp")  # noqa: S108 - the pod's own volume
    """Room of the pod for scratch servers and files on their way."""

    @model_validator(mode="before")
    @classmethod
    def _names_by_default(cls, given: object) -> object:
        if isinstance(given, dict) and isinstance(given.get("database"), str):
            dashed = given["database"].replace("_", "-")
            return {
                **given,
                "prefix": given.get("prefix") or dashed,
                "folder": given.get("folder") or dashed,
            }
        return given
