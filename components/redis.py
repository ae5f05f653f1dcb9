"""One Redis instance: a cache or, with storage and another eviction policy, a store."""

from typing import Literal

import pulumi

from components.args import Args, Image, Quantity, Resources, Storage, Text
from components.pki import CertificateAuthority


class RedisUser(Args):
    """An ACL user that may run `commands` on keys matching `keys`, and nothing else."""

    name: str
    password: pulumi.Output[str]
    """Secret; only its SHA-256 reaches the ACL file."""
    keys: tuple[str, ...]
    """Glob patterns, like `resource:*`."""
    commands: tuple[str, ...]
    """Command names and @categories, without sign, like `get`, `eval`, `@connection`."""


class RedisArgs(Args):
    """A Redis server. Its object names follow the component's name (`redis-cache`)."""

    namespace: Text
    namespace_name: str = "data"
    image: Image
    authority: CertificateAuthority
    users: tuple[RedisUser, ...]
    resources: Resources
    max_memory: Quantity = "128Mi"
    eviction: Literal["allkeys-lru", "allkeys-lfu", "volatile-lru", "noeviction"] = "allkeys-lru"
    storage: Storage | None = None
    """None: nothing is kept. Otherwise an append-only file on a volume."""
    append_fsync: Literal["always", "everysec"] = "everysec"


class Redis(pulumi.ComponentResource):
    """A Redis server, TLS only, with named ACL users only (`default` is off).

    Makes: ConfigMap, Secret with the ACL file, Password of the health user, Certificate
    `<name>-tls`, Services `<name>-headless` and `<name>`, StatefulSet.
    """

    host: pulumi.Output[str]
    """`redis-cache.data.svc`; known once the server is ready."""
    port: pulumi.Output[int]
