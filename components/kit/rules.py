"""Rules that a stack file and a component's arguments are both held to, each said once.

Callers name their own keys, as their readers spell them. Plain functions, no Pulumi: the settings
use them, too.
"""

from components.kit.quantities import amount


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
