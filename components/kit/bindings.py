"""How a pod reaches the shared systems: environment variables and mounted files for each."""

from collections.abc import Mapping
from typing import Final

from components.kit import paths
from components.kit.args import Args, Files, Mount, Text
from components.kit.names import variable

USERNAME: Final = "username"
"""Key of a password's Secret, where who logs in changes with it."""
MECHANISM: Final = "mechanism"
"""Key of the Secret of a Kafka user's password."""


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
    names_user: bool = False,
) -> Binding:
    """One database, TLS with the server's name verified (`DATABASE_*`, or as `binding`
    says: `data-store`, `DATA_STORE_*`). `names_user`: the password's Secret says who logs in with
    it, in place of `user`."""
    named = {variable(binding, "USER_FILE"): f"{paths.secret(binding)}/{USERNAME}"}
    return _binding(
        binding,
        password,
        {
            variable(binding, "HOST"): host,
            variable(binding, "PORT"): port,
            variable(binding, "NAME"): name,
            variable(binding, "USER"): user,
            variable(binding, "POOL_SIZE"): str(pool_size),
            **(named if names_user else {}),
        },
    )


def kafka(*, bootstrap_servers: Text, username: str, password: Files) -> Binding:
    """The Kafka cluster as a SCRAM user (`KAFKA_*`), whose mechanism is beside its password."""
    return _binding(
        "kafka",
        password,
        {
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
            "KAFKA_USERNAME": username,
            "KAFKA_MECHANISM_FILE": f"{paths.secret('kafka')}/{MECHANISM}",
        },
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
