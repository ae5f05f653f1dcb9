"""The Redis cache, with an ACL user per service that may touch its own keys only."""

from components.kit import connections
from components.servers.redis.server import Redis, RedisArgs, RedisUser
from infra.stack.accounts import password
from infra.stack.convert import resources
from infra.stack.foundation import APPS, DATA, Foundation

# What cache-aside with a version check takes: a read, and a script that reads and writes.
CACHE_COMMANDS = ("get", "set", "eval", "evalsha", "script|load")


def provide_cache(ground: Foundation) -> dict[str, connections.Connection]:
    """The cache, and by service name the connection of every service that uses it."""
    settings = ground.settings.redis
    users = [workload for workload in ground.workloads if workload.cache_keys]
    passwords = {user.name: password(ground, f"redis-{user.name}", APPS) for user in users}
    server = Redis(
        "redis-cache",
        RedisArgs(
            namespace=ground.namespaces.names[DATA],
            namespace_name=DATA,
            image=ground.catalogue.reference("redis"),
            pull_secrets=ground.settings.images.pull_secrets,
            authority=ground.authority,
            users=tuple(
                RedisUser(
                    name=user.name,
                    password=passwords[user.name].value,
                    keys=user.cache_keys,
                    commands=CACHE_COMMANDS,
                )
                for user in users
            ),
            resources=resources(settings.resources),
            max_memory=settings.max_memory,
        ),
        ground.child,
    )
    return {
        name: connections.redis(
            host=server.host,
            port=server.port.apply(str),
            username=name,
            password=made.files[APPS],
        )
        for name, made in passwords.items()
    }
