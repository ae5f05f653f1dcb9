"""Section of a stack file: backups of the databases, and where they lie."""

import re
import zlib
from collections.abc import Mapping
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema, model_validator

from components.kit.quantities import amount
from infra.model.servers import DATABASE_ENGINES
from infra.model.settings.base import (
    Bytes,
    DnsName,
    ResourceSettings,
    Settings,
    Stated,
    records,
    size,
    unknown,
)

_RANGES: Final = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 7),
)
_RECIPIENT: Final = "age1[02-9ac-hj-np-z]{58}"


def _cron(text: str) -> str:
    """Five fields of cron in UTC, like `30 2 * * *`: minute, hour, day, month, weekday."""
    fields = text.split()
    if len(fields) != len(_RANGES):
        raise ValueError(
            f"{text!r} has {len(fields)} fields, but a schedule has five: minute, hour, day, month "
            "and weekday, like '30 2 * * *'"
        )
    for field, (what, low, high) in zip(fields, _RANGES, strict=True):
        if not all(_in_range(part, low, high) for part in field.split(",")):
            raise ValueError(
                f"the {what} {field!r} of the schedule {text!r} is not one; write '*', numbers "
                f"from {low} to {high}, ranges like '{low}-{high}', lists of them, steps like '*/2'"
            )
    return text


def _in_range(part: str, low: int, high: int) -> bool:
    match = re.fullmatch(r"(\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
    if match is None or match[4] == "0":
        return False
    first, last = (int(match[n]) if match[n] else None for n in (2, 3))
    numbers = [number for number in (first, last) if number is not None]
    return all(low <= number <= high for number in numbers) and numbers == sorted(numbers)


def _recipient(text: str) -> str:
    """A public key in the age format: `age1…`."""
    if text.upper().startswith("AGE-SECRET-KEY"):
        raise ValueError(
            "this is an identity, which opens the backups: take it out of the file, hold it for "
            "known, and make another with `age-keygen`; here goes the public key that it prints"
        )
    if not re.fullmatch(_RECIPIENT, text):
        raise ValueError(
            f"{text[:70]!r} is no recipient of age; write the public key that `age-keygen` prints, "
            "'age1' and 58 characters. The identity, AGE-SECRET-KEY-…, never goes into a stack file"
        )
    return text


Cron = Annotated[str, AfterValidator(_cron)]
Recipient = Annotated[
    str,
    AfterValidator(_recipient),
    WithJsonSchema({"type": "string", "pattern": f"^{_RECIPIENT}$"}),
]


class S3Settings(Settings):
    """A bucket of S3 or of what speaks its language."""

    bucket: Annotated[str, Field(min_length=3, max_length=63)]
    """Its name. Whoever else may write there could replace backups: give it to nobody."""
    credentials_secret: DnsName
    """Secret of the namespace data with the keys `access-key` and `secret-key`, which the cluster's
    owner makes. Pods read it as files."""
    endpoint: (
        Annotated[
            str, Field(pattern=r"^https?://[^\s/]+$", examples=["https://s3.mill.example:9000"])
        ]
        | None
    ) = None
    """Where it answers; absent: Amazon's own, by the region."""
    region: Stated = "us-east-1"
    """The bucket's."""
    prefix: Annotated[
        str, Field(pattern=r"^([A-Za-z0-9._-]+/)*[A-Za-z0-9._-]*$", examples=["millrace/prod"])
    ] = ""
    """Folder inside the bucket; a stack of its own needs one of its own."""


class EncryptionSettings(Settings):
    """Encryption in the age format before anything reaches the storage."""

    recipients: Annotated[tuple[Recipient, ...], Field(min_length=1)]
    """Public keys; the identity of any of them opens a backup. Two, with the second identity in a
    safe, survive the loss of the first."""
    identity_secret: DnsName
    """Secret of the namespace data whose key `identity` holds the private key, which the cluster's
    owner makes. Jobs that restore and drill read it as a file, nothing else does."""


class ServerBackupSettings(Settings):
    """What differs for one server; what is absent is as for all."""

    enabled: bool | None = None
    """Whether it has backups."""
    schedule: Cron | None = None
    """When a backup is taken and proven."""
    storage: Bytes | None = None
    """Volume of its backups."""
    scratch: Bytes | None = None
    """Room for restoring on the side."""


class BackupSettings(Settings):
    """Backups of every database server, each proven by restoring it on the side."""

    enabled: bool = True
    """Whether servers have backups at all; `servers` may say otherwise of one."""
    schedule: Cron | None = None
    """When a backup is taken and proven, in UTC. Absent: once a night, each server at a minute of
    its own between 1:00 and 4:59."""
    keep_count: Annotated[int, Field(ge=1, le=1000)] = 7
    """A backup stays while it is among so many newest ones of its database …"""
    keep_days: Annotated[int, Field(ge=0, le=3650)] = 14
    """… or younger than so many days. The newest proven one stays whatever these say."""
    storage: Bytes = "5Gi"
    """Volume of a server's backups and of its archived log, where `s3` is absent; about
    `keepCount` times the data, compressed, and the log since the oldest."""
    s3: S3Settings | None = None
    """A bucket in place of volumes: what is left when the whole cluster is lost."""
    encryption: EncryptionSettings | None = None
    """Absent: backups are not encrypted, and whoever reads the storage reads all data."""
    scratch: Bytes = "2Gi"
    """Room on the node for a restore on the side: the whole data of a server, uncompressed, and the
    log that is replayed."""
    archive_seconds: Annotated[int, Field(ge=5, le=60)] = 20
    """How often what changed is put into the archive: what a lost server may cost."""
    backup_seconds: Annotated[int, Field(ge=60)] = 3600
    """How long a backup and its proof may take, the image's pull included."""
    restore_seconds: Annotated[int, Field(ge=60)] = 14400
    """The same of a restore by hand."""
    resources: ResourceSettings = size("50m", "192Mi", "1", "1Gi")
    """Of a Job that takes, proves or restores: a scratch server runs in it."""
    archiver_resources: ResourceSettings = size("10m", "64Mi", "500m", "256Mi")
    """Of the pod that archives a server's log all the time."""
    servers: Mapping[str, ServerBackupSettings] = {}
    """Name of a server to what differs for it."""

    @model_validator(mode="after")
    def _known_names(self, info: ValidationInfo) -> Self:
        """Every key of `servers` is the name of a server that holds databases."""
        population = records(info)
        known = tuple(s.name for s in population.servers if s.engine in DATABASE_ENGINES)
        for name in self.servers:
            if name not in known:
                raise ValueError(unknown("database server", name, known))
        return self

    @model_validator(mode="after")
    def _memory_holds_a_server(self) -> Self:
        """`resources.limits.memory` is at least 512Mi: the server that a backup is proven on runs
        in the same pod."""
        if amount(self.resources.limits.memory) < amount("512Mi"):
            raise ValueError(
                f"resources.limits.memory is {self.resources.limits.memory}, but the server that a "
                "backup is proven on runs in the same pod and would be killed; raise it to 512Mi"
            )
        return self

    def of(self, server: str) -> ServerBackupSettings:
        """What holds for that server, nothing left open but a schedule that nobody gave."""
        own = self.servers.get(server) or ServerBackupSettings()
        return ServerBackupSettings(
            enabled=self.enabled if own.enabled is None else own.enabled,
            schedule=own.schedule or self.schedule,
            storage=own.storage or self.storage,
            scratch=own.scratch or self.scratch,
        )


def nightly(name: str) -> str:
    """Once a night between 1:00 and 4:59, at a minute that the name decides: all at once they would
    fight for the disk, and two clusters with one schedule for the bucket."""
    minute = 60 + zlib.crc32(name.encode()) % 240
    return f"{minute % 60} {minute // 60} * * *"
