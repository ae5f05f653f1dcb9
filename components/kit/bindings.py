"""How a pod reaches the shared systems: environment variables and mounted files for each."""

from collections.abc import Mapping

from components.kit import paths
from components.kit.args import Args, Files, Mount, Text
from components.kit.names import variable


class Binding(Args):
    """Environment and mounts that let a pod use one shared system."""

    env: Mapping[str, Text]
    mounts: tuple[Mount, ...]


def database(
    *,
    host: Text,
    port: Text,
    name: str,
    user: str,
    password: Files,
    pool_size: int,
    binding: str = "database",
) -> Binding:
    """One PostgreSQL database, TLS with the server's name verified (`DATABASE_*`, or as `binding`
    says: `data-store`, `DATA_STORE_*`)."""
    return _binding(
        binding,
        password,
        {
            variable(binding, "HOST"): host,
            variable(binding, "PORT"): port,
            variable(binding, "NAME"): name,
            variable(binding, "USER"): user,
            variable(binding, "POOL_SIZE"): str(pool_size),
        },
    )


def kafka(*, bootstrap_servers: Text, username: str, password: Files) -> Binding:
    """The Kafka cluster as a SCRAM user (`KAFKA_*`)."""
    return _binding(
        "kafka",
        password,
        {"KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers, "KAFKA_USERNAME": username},
    )


def redis(
    *,
    host: Text,
    port: Text,
    username: str,
    password: Files,
    name: str = "redis",
    more: Mapping[str, str] | None = None,
) -> Binding:
    """A Redis server as an ACL user (`REDIS_*`, or as `name` says: `redis-stream`,
    `REDIS_STREAM_*`), with `more` variables that come from it."""
    return _binding(
        name,
        password,
        {
            variable(name, "HOST"): host,
            variable(name, "PORT"): port,
            variable(name, "USERNAME"): username,
            **(more or {}),
        },
    )


def _binding(what: str, password: Files, env: Mapping[str, Text]) -> Binding:
    path = paths.secret(what)
    return Binding(
        env={
            **env,
            variable(what, "PASSWORD_FILE"): f"{path}/password",
            variable(what, "CA_FILE"): paths.CA_FILE,
        },
        mounts=(Mount(files=password, path=path),),
    )
