"""How a pod reaches the shared systems: environment variables and mounted files per connection."""

from collections.abc import Mapping

from components.args import Args, Files, Mount, Text


class Connection(Args):
    """Environment and mounts that let a pod use one shared system."""

    env: Mapping[str, Text]
    mounts: tuple[Mount, ...]


def database(
    host: Text, port: Text, name: str, user: str, password: Files, pool_size: int
) -> Connection:
    """One PostgreSQL database (`DATABASE_*`)."""
    raise NotImplementedError


def kafka(bootstrap_servers: Text, username: str, password: Files) -> Connection:
    """The Kafka cluster as a SCRAM user (`KAFKA_*`)."""
    raise NotImplementedError


def redis(host: Text, port: Text, username: str, password: Files) -> Connection:
    """A Redis instance as an ACL user (`REDIS_*`)."""
    raise NotImplementedError
