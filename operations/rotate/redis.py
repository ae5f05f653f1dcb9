"""Passwords of Redis' users. It goes by a file of theirs, which may know two of each."""

from typing import Final

from infra.model.records import Records
from operations.rotate import passwords


def _secrets(records: Records) -> list[str]:
    servers = records.server_names(engine="redis")
    own = [f"{server}-{user}" for server in servers for user in ("health", "operator", "exporter")]
    return own + [
        f"{use.binding}-{service.name}" for service in records.services for use in service.redis
    ]


# Connections of before stay open, as what they may do has not changed.
KIND: Final = passwords.kind("redis", _secrets)
