"""Passwords of PostgreSQL's accounts: two roles each, of which one logs in."""

from collections.abc import Mapping
from typing import Final

from infra.model.records import Records
from infra.model.servers import BACKUP_USER, EXPORTER_USER, dashed, login
from operations.rotate import passwords
from operations.rotate.stack import Stack

_SESSIONS: Final = (
    "SELECT json_build_array(usename, format('%s, process %s', application_name, pid))"
    " FROM pg_stat_activity WHERE usename IS NOT NULL"
)
_LEAVE_SECONDS: Final = 600
"""Longer than a pool keeps a connection that nobody uses."""


def _accounts(records: Records) -> Mapping[str, tuple[str, str]]:
    """Secret to server and role; the administrator's, who has one role only, has none."""
    found: dict[str, tuple[str, str]] = {}
    for server in records.server_names(engine="postgres"):
        found[f"{server}-admin"] = (server, "")
        found[f"{server}-backup"] = (server, BACKUP_USER)
        found[f"{server}-exporter"] = (server, EXPORTER_USER)
        for name in records.databases(server=server):
            found[f"{server}-{dashed(name)}"] = (server, name)
    return found


def _secrets(records: Records) -> list[str]:
    return list(_accounts(records))


def _wait_until_unused(stack: Stack, secret: str) -> None:
    server, role = _accounts(stack.records)[secret]
    if not role:
        return
    before = login(role, stack.rotation.of(secret).generation - 1)

    def sessions() -> str:
        rows = stack.kube.sql("postgres", _SESSIONS, server=server)
        return "; ".join(session for user, session in rows if user == before)

    stack.wait(f"nobody is logged in as {before} any more", sessions, _LEAVE_SECONDS)


KIND: Final = passwords.kind("postgres", _secrets, _wait_until_unused)
