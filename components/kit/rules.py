"""Rules that more than a component's arguments are held to, each said once: stack files, records.

Callers name their own keys, as their readers spell them. Plain functions, no Pulumi: the settings
and the records use them, too.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from components.kit.quantities import amount

_PORT_NAME: Final = re.compile(r"(?!.*--)[a-z]([a-z0-9-]{0,13}[a-z0-9])?")
_PORTS: Final = range(1024, 65536)
_ACL_RULE: Final = re.compile(r"[^\s~+&%#<>]+")
_TOO_WIDE: Final = (
    *("@all", "all", "@admin", "@dangerous"),
    *("acl", "config", "debug", "flushall", "keys"),
)
OWN_ACCOUNTS: Final[Mapping[str, tuple[str, ...]]] = {
    "kafka": ("admin", "broker"),
    "redis": ("default", "exporter", "health", "operator"),
}
"""Engine to the accounts of its servers that are no service's: super users, who asks PING, who has
changed users read, and who tells Prometheus how the server fares."""


def check_limit(limit_key: str, limit: str, request_key: str, request: str) -> None:
    """Raises ValueError when a limit is below what is requested."""
    if amount(limit) < amount(request):
        raise ValueError(
            f"{limit_key} ({limit}) is below {request_key} ({request}), which the API server "
            "refuses; raise the limit or lower the request"
        )


def check_share(key: str, size: str, limit_key: str, limit: str, share: float) -> None:
    """Raises ValueError when `size` takes more than `share` of the memory limit."""
    if amount(size) > amount(limit) * share:
        raise ValueError(
            f"{key} ({size}) is more than {share:.0%} of {limit_key} ({limit}), so the kernel "
            f"would kill the container under load; lower {key} or raise {limit_key}"
        )


def check_quorum(*, brokers: int, controllers: int) -> None:
    """Raises ValueError when the voters are of an even number.

    Args:
        controllers: dedicated ones; 0: the brokers vote.
    """
    voters = controllers or brokers
    if voters % 2 == 0:
        key = "controllers" if controllers else "brokers"
        raise ValueError(
            f"{key} is {voters}: an even quorum tolerates no more failures than {voters - 1} and "
            f"can split; set {key} to {voters - 1} or {voters + 1}"
            + ("" if controllers else ", or give the cluster dedicated controllers")
        )


def check_copies(
    *, brokers: int, factor: int, factor_key: str, minimum: int, minimum_key: str
) -> None:
    """Raises ValueError when topics could not be created, or one restart would stop all writes.

    Args:
        factor: copies of every partition.
        minimum: copies that must hold a message before it is acknowledged.
    """
    if factor > brokers:
        raise ValueError(
            f"{factor_key} ({factor}) is above brokers ({brokers}), so no topic could be created; "
            "lower it or add brokers"
        )
    most = max(1, factor - 1)
    if minimum > most:
        raise ValueError(
            f"{minimum_key} ({minimum}) leaves no broker to restart with {factor_key} {factor}: "
            f"writes would stop; set it to {most} or below, or raise {factor_key}"
        )


def check_scale(least: int, most: int) -> None:
    """Raises ValueError when a range of pods is none, or a drain could take the last of them."""
    if most <= least:
        raise ValueError(
            f"max ({most}) is not above min ({least}), so nothing would scale; raise max, or "
            "write replicas as a number"
        )
    if least < 2:
        raise ValueError(
            f"min is {least}, and the disruption budget of a range lets one pod go at a time: a "
            "drain would stop the service; set min to 2 or more"
        )


def check_port_name(name: str) -> str:
    """The name itself, when a container's port and a Service's can carry it. Raises ValueError."""
    if not _PORT_NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name of a port, and the API server refuses it; use at most 15 "
            "lower-case letters, digits and single inner '-', starting with a letter"
        )
    return name


def check_port_number(number: int) -> int:
    """The number itself, when a process without privileges can listen on it. Raises ValueError."""
    if number not in _PORTS:
        raise ValueError(
            f"{number} is no port that a process without privileges can listen on; use one from "
            f"{_PORTS.start} to {_PORTS.stop - 1}"
        )
    return number


def check_containers(name: str, sidecars: Iterable[str]) -> None:
    """Raises ValueError when two containers of the pods of `name` would have the same name."""
    names = [name, *sidecars]
    if len(set(names)) < len(names):
        raise ValueError(
            f"two containers of {name} have the same name ({', '.join(names)}), and the API server "
            "refuses such a pod; rename a sidecar"
        )


def check_env(names: Iterable[str]) -> None:
    """Raises ValueError when a variable's name says that its value is a secret."""
    for name in names:
        if name.endswith(("PASSWORD", "SECRET", "TOKEN", "PRIVATE_KEY")):
            raise ValueError(
                f"env {name} would put a secret into the pod's specification, which every reader "
                f"of pods sees; mount it as a file and pass the path in {name}_FILE"
            )


def check_set_once(variables: Iterable[str]) -> None:
    """Raises ValueError when a variable of one container would be set twice."""
    seen: set[str] = set()
    for name in variables:
        if name in seen:
            raise ValueError(
                f"env has {name} twice, and one of the two would be ignored; leave one out"
            )
        seen.add(name)


def check_account(engine: str, name: str) -> None:
    """Raises ValueError when the name is that of an account which the server has of its own."""
    if name in OWN_ACCOUNTS.get(engine, ()):
        raise ValueError(
            f"{name!r} is an account that {engine} has of its own, and whoever has its name would "
            "have its rights; choose another name"
        )


def check_acl(user: str, keys: Iterable[str], commands: Iterable[str]) -> None:
    """Raises ValueError when a Redis user could reach beyond keys of its own."""
    check_account("redis", user)
    for field, values in (("name", (user,)), ("keys", keys), ("commands", commands)):
        for value in values:
            if not _ACL_RULE.fullmatch(value):
                raise ValueError(
                    f"{field} has {value!r}, which would read as another ACL rule; leave out "
                    "spaces and signs"
                )
    for key in keys:
        if key[0] in "*?[":
            raise ValueError(
                f"keys of {user} has {key!r}, so it could change other services' keys; give the "
                "prefixes it uses, like 'resource:*'"
            )
    for command in commands:
        if command.lower() in _TOO_WIDE:
            raise ValueError(
                f"commands of {user} has {command!r}, which reaches beyond its own keys; name the "
                "commands it runs"
            )
