"""Passwords of MySQL's accounts. The server itself accepts two of each."""

from typing import Final

from infra.model.records import Records
from infra.model.servers import dashed
from operations.rotate import passwords


def _secrets(records: Records) -> list[str]:
    found: list[str] = []
    proxied = [server.name for server in records.servers if server.proxied]
    for server in records.server_names(engine="mysql"):
        databases = [dashed(name) for name in records.databases(server=server)]
        found += [f"{server}-admin", f"{server}-backup", f"{server}-exporter"]
        found += [f"{server}-monitor"] if server in proxied else []
        found += [f"{server}-{name}{what}" for name in databases for what in ("", "-owner")]
    return found


# Whether a session of before logged in with the old one, MySQL does not say, and it does not
# matter: it stays open when that is dropped.
KIND: Final = passwords.kind("mysql", _secrets)
