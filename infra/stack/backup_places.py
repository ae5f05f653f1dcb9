"""Where a server's backups lie: on a claim of its own, or in a bucket."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi

from components.kit import hashing, paths
from components.kit.args import Files, Mount
from components.workloads.claim import Claim, ClaimArgs
from components.workloads.processes import Kept
from infra.model.servers import Server
from infra.model.settings import ServerBackupSettings
from infra.stack.convert import storage
from infra.stack.foundation import DATA, Foundation
from infra.stack.protection import data_options

STORAGE: Final = "/backups"
"""Where pods see the claim."""
_KEYS: Final = ("access-key", "secret-key")


@dataclass(frozen=True)
class Place:
    """Where a server's backups lie, as the spec names it and as pods get there."""

    spec: Mapping[str, object]
    kept: tuple[Kept, ...] = ()
    mounts: tuple[Mount, ...] = ()


def place(ground: Foundation, server: Server, settings: ServerBackupSettings) -> Place:
    s3 = ground.settings.backups.s3
    if s3 is None:
        assert settings.storage is not None
        claim = Claim(
            f"{server.name}-backups",
            ClaimArgs(
                namespace=ground.namespaces.names[DATA],
                storage=storage(settings.storage, ground.settings.kubernetes),
                component="backup",
            ),
            data_options(ground.parent, protect=ground.settings.protect),
        )
        kept = Kept(name="backups", path=STORAGE, claim=claim.claim_name)
        return Place({"kind": "folder", "path": STORAGE}, kept=(kept,))
    keys = paths.secret("bucket")
    return Place(
        {
            "kind": "s3",
            "bucket": s3.bucket,
            "region": s3.region,
            "prefix": "/".join(part for part in (s3.prefix, server.name) if part),
            "endpoint": s3.endpoint,
            "access_key_file": f"{keys}/{_KEYS[0]}",
            "secret_key_file": f"{keys}/{_KEYS[1]}",
        },
        mounts=(Mount(files=given(s3.credentials_secret), path=keys),),
    )


def given(secret: str) -> Files:
    """A Secret that the cluster's owner makes; a changed one is read by whoever starts next."""
    return Files(
        kind="Secret",
        name=pulumi.Output.from_input(secret),
        version=pulumi.Output.from_input(hashing.digest(secret)),
    )
